#compdef onionsharectl
# SPDX-License-Identifier: GPL-3.0-or-later
# zsh completion; what there is to choose from, onionsharectl itself says.
_onionsharectl()
{
	local line
	local -a described

	for line in "${(@f)$("${words[1]}" complete-words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
		case $line in
		'') ;;
		:file) _files && return ;;
		:dir) _files -/ && return ;;
		*) described+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
		esac
	done
	_describe 'onionsharectl' described
}
if [[ $funcstack[1] == _onionsharectl ]]; then
	_onionsharectl "$@"
else
	compdef _onionsharectl onionsharectl
fi
