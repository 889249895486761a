#!/usr/bin/env bash
# Joins and runs a command with the credentials, which are gone when it ends: no later step
# of the job finds them. bash 3.2, which macOS has, must do.
set -euo pipefail
job_umask=$(umask)
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

# add appends a flag of the client to args, unless the parameter is empty, which leaves the
# client its own variable or default.
args=()
add() { # flag value
  local value
  value=$(expand "$2")
  value=${value%.}
  [ -z "$value" ] || args+=("--$1=$value")
}

# add_lines appends flags that the user wrote out, one in each line.
add_lines() { # lines
  local line
  while IFS= read -r line || [ -n "$line" ]; do
    [ -n "$line" ] || continue
    line=$(expand "$line")
    args+=("${line%.}")
  done < <(printf '%s' "$1")
}

[ -n "$ORB_COMMAND" ] || fail 'the parameter command is empty' 'write what to run with the credentials'
add server "$ORB_SERVER"
add token "$ORB_TOKEN"
add audience "$ORB_AUDIENCE"
add ttl "$ORB_TTL"
add_lines "$ORB_FLAGS"
# The command is the user's own script and gets the umask of any other step; what the client
# writes is 0600 by itself.
gatepass exec "${args[@]+"${args[@]}"}" -- bash -eo pipefail -c "umask $job_umask
$ORB_COMMAND"
