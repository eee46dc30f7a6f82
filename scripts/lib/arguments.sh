# What every script answers to --help, and how it refuses what it does not know. Nothing is installed or built before.
# shellcheck shell=bash

# Prints the head of this script: what it does, and what it takes.
print_head() { sed -n '2,${/^#/!q;s/^#\( \|$\)//;p}' "scripts/$(basename "$0")"; }

# Ends the script with exit code 1 and a sentence.
refuse() { printf '%s: %s (see --help)\n' "$(basename "$0" .sh)" "$1" >&2; exit 1; }

# answer_help ARGUMENT...: prints the head and ends the script when it is asked for.
answer_help() {
  local argument
  for argument; do
    case $argument in -h | --help) print_head; exit 0 ;; esac
  done
}

# take_nothing ARGUMENT...: for a script without arguments.
take_nothing() {
  answer_help "$@"
  [ $# -eq 0 ] || refuse "unknown argument '$1'"
}
