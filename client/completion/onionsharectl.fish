# SPDX-License-Identifier: GPL-3.0-or-later
# fish completion; what there is to choose from, onionsharectl itself says.
function __onionsharectl_complete
	set -l words (commandline -opc)
	set -l current (commandline -ct)
	set -l found ($words[1] complete-words -- $words[2..-1] "$current" 2>/dev/null)
	switch "$found[1]"
		case :file
			__fish_complete_path "$current"
		case :dir
			__fish_complete_directories "$current"
		case '*'
			printf '%s\n' $found
	end
end
complete -c onionsharectl -f -a '(__onionsharectl_complete)'
