#!/usr/bin/env bash
# Joins and copies a file or folder to hosts over SSH, by the client itself. Each host takes a
# join of its own, and so a newly minted ID token. bash 3.2, which macOS has, must do.
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

from=$(expand "$ORB_FROM")
from=${from%.}
to=$(expand "$ORB_TO")
to=${to%.}
[ -n "$from" ] || fail 'the parameter from is empty' 'name the file or folder to copy'
[ -n "$to" ] || fail 'the parameter to is empty' "name where to copy it to; a path that does not begin with / is in the login's home"
add server "$ORB_SERVER"
add token "$ORB_TOKEN"
add audience "$ORB_AUDIENCE"
add ttl "$ORB_TTL"
add login "$ORB_LOGIN"
add_lines "$ORB_FLAGS"
flags=(-r "${args[@]+"${args[@]}"}")
args=()
add_lines "$ORB_HOSTS"
[ ${#args[@]} -gt 0 ] || fail 'the parameter hosts is empty' 'name the hosts as user@host or user@host:port, one in each line'
case $from in
  /*) ;;
  *) from=./$from ;; # whatever is in the name, it is a file here
esac
for host in "${args[@]}"; do
  port=()
  # With host:path the port is a flag; an IPv6 address has its colons in brackets.
  if [[ $host =~ ^([^:]+|.*\]):([0-9]+)$ ]]; then
    host=${BASH_REMATCH[1]}
    port=(--port "${BASH_REMATCH[2]}")
  fi
  gatepass cp "${flags[@]}" "${port[@]+"${port[@]}"}" -- "$from" "$host:$to"
done
