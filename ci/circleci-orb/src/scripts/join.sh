#!/usr/bin/env bash
# Joins, and tells the later steps of the job where the files are. The client mints the ID
# token itself. Paths alone reach BASH_ENV: every later step reads that file.
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

# remember lets later steps have a variable. The newline before it ends a line that another
# step has left without.
remember() { # variable value
  printf '\nexport %s=%q\n' "$1" "$2" >>"$BASH_ENV"
}

# Before anything else: what cannot be told to the later steps is of no use to them.
if ! { [ -n "${BASH_ENV:-}" ] && : >>"$BASH_ENV"; }; then
  fail 'BASH_ENV names no file that can be written to' 'CircleCI sets it for every job; do not change it'
fi
case $ORB_OUTPUT in
  identity | database | application | kubernetes | jwt) ;;
  *) fail 'the parameter output is none of identity, database, application, kubernetes and jwt' 'leave it out for identity' ;;
esac
destination=$(expand "$ORB_DESTINATION")
destination=${destination%.}
[ -n "$destination" ] || fail 'the parameter destination is empty' 'name a directory for the credentials alone, such as .gatepass'
case $destination in
  *://*) fail 'the parameter destination is a URI' 'name a directory, such as .gatepass' ;;
  /*) ;;
  *) destination=./$destination ;; # whatever is in the name, cd takes it for one
esac

add server "$ORB_SERVER"
add token "$ORB_TOKEN"
add audience "$ORB_AUDIENCE"
add ttl "$ORB_TTL"
args+=("--destination=$destination")
add_lines "$ORB_FLAGS"
gatepass join "$ORB_OUTPUT" "${args[@]}"

# The dot keeps newlines, as in expand.
dir=$(cd -- "$destination" && pwd -P && printf .)
dir=${dir%??}
remember "GATEPASS_$(printf '%s' "$ORB_OUTPUT" | tr '[:lower:]' '[:upper:]')_DIR" "$dir"
case $ORB_OUTPUT in
  identity)
    remember GATEPASS_SSH_CONFIG "$dir/ssh_config"
    remember GATEPASS_KNOWN_HOSTS "$dir/known_hosts"
    # git gives it to a shell, hence a second time quoted.
    remember GIT_SSH_COMMAND "ssh -F $(printf %q "$dir/ssh_config")"
    ;;
  kubernetes) remember KUBECONFIG "$dir/kubeconfig.yaml" ;;
esac
