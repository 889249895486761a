#!/usr/bin/env bash
# Overwrites and removes what a join wrote, whether the job went well or not.
# bash 3.2, which macOS has, must do.
set -euo pipefail
umask 077

fail() { # error hint…
  printf 'gatepass orb: error: %s\n' "$1" >&2
  shift
  printf 'gatepass orb: hint: %s\n' "$@" >&2
  exit 1
}

# expand replaces references to environment variables in a parameter, and nothing else. A
# dot follows the value, so that a command substitution keeps the newlines at its end.
expand() { # value
  case $1 in
    *'$'*) printf '%s.' "$1" | circleci env subst ;;
    *) printf '%s.' "$1" ;;
  esac
}

destination=$(expand "$ORB_DESTINATION")
destination=${destination%.}
[ -n "$destination" ] || fail 'the parameter destination is empty' 'name the directory that the join wrote to'
if [ ! -e "$destination" ] && [ ! -L "$destination" ]; then
  echo 'nothing was joined'
elif command -v gatepass >/dev/null; then
  gatepass logout -- "$destination"
elif [ -L "$destination/.gatepass/current" ]; then
  fail "there are credentials in $destination, and the client that removes them is not in PATH" \
    'a step has replaced PATH, or what BASH_ENV had: add to that file with >>'
else
  echo 'the client was not installed, so nothing was joined'
fi
