#!/usr/bin/env bash
# Joins and runs a command on hosts over SSH, by the client itself: it checks who the host
# is, and no credential touches the disk. bash 3.2, which macOS has, must do.
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

[ -n "$ORB_COMMAND" ] || fail 'the parameter command is empty' 'write what to run on the hosts'
add server "$ORB_SERVER"
add token "$ORB_TOKEN"
add audience "$ORB_AUDIENCE"
add ttl "$ORB_TTL"
add login "$ORB_LOGIN"
add_lines "$ORB_FLAGS"
flags=("${args[@]+"${args[@]}"}")
args=()
add_lines "$ORB_HOSTS"
[ ${#args[@]} -gt 0 ] || fail 'the parameter hosts is empty' 'name the hosts as user@host or user@host:port, one in each line'
for host in "${args[@]}"; do
  case $host in
    -*) fail "the host $host looks like a flag" 'write flags into the parameter flags' ;;
  esac
done
gatepass ssh "${flags[@]+"${flags[@]}"}" "${args[@]}" -- "$ORB_COMMAND"
