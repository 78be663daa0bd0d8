# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# bash completion; what there is to choose from, onionsharectl itself says.
_onionsharectl()
{
	local line current=${COMP_WORDS[COMP_CWORD]}

	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		:file)
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -- "$current")
			;;
		:dir)
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -d -- "$current")
			;;
		*)
			COMPREPLY+=("${line%%$'\t'*}")
			;;
		esac
	done < <("${COMP_WORDS[0]}" complete-words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _onionsharectl onionsharectl
