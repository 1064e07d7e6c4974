# Completion of exportctl in bash. The program knows its verbs and flags: exportctl _complete WORD ...
_exportctl() {
    local line typed=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    [[ $typed == "=" ]] && typed=
    while IFS= read -r line; do
        case $line in
        :files*) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$typed") ;;
        :directories*) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$typed") ;;
        *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <("$1" _complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _exportctl exportctl
