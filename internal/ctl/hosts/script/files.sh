# shellcheck shell=sh disable=SC2034,SC2154 # what is used here and not set is of the files beside it
# The files of the host: what each shall have, and what is there. Before this stands what is of one
# host, which script.go writes: accounts, labels, host_certificates, host_authorities, content().

marker='# written by gatepassctl host setup; changes made here are lost'
begin='# BEGIN gatepassctl host setup; changes made here are lost'
end='# END gatepassctl host setup'
ssh=/etc/ssh
folder=$ssh/gatepass
authority=$folder/user_ca.pub
principals=$folder/principals
revoked=$folder/revoked.krl
main=$ssh/sshd_config
drop_in=$ssh/sshd_config.d/10-gatepass.conf
temporary=.gatepass- # begins the names of files that are being written; no account is called so
client='host=client.invalid,addr=192.0.2.1' # a client that no Match is about
tab=$(printf '\t')

one_line() { printf '%s' "$1" | tr -d '\r' | tr '\n' ' '; } # sshd ends lines with both
lower() { printf '%s' "$1" | tr '[:upper:]' '[:lower:]'; }

fail() { # PROBLEM WHAT-TO-DO
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

# Findings: what a run without check would change, what a person has to fix, what works as yet.
differs() { printf 'differs  %s: %s\n' "$1" "$2"; }
wrong() { printf 'wrong    %s: %s\n         %s\n' "$1" "$2" "$3"; }
warning() { printf 'warning  %s: %s\n         %s\n' "$1" "$2" "$3"; }

settings=$(content "$drop_in" | grep -v '^#') # one to a line
revokes() { case $settings in *'RevokedKeys '*) ;; *) return 1 ;; esac }

# The files, the one that makes sshd look at the others last. place is where sshd's lines are.
files() {
  echo "$authority"
  for account in $accounts; do echo "$principals/$account"; done
  if revokes; then echo "$revoked"; fi
  echo "$place"
}

# Principals of other accounts: ours are removed, others' are told of.
other_principals() {
  for file in "$principals"/*; do
    case " $accounts " in *" ${file##*/} "*) continue ;; esac
    if [ -e "$file" ] || [ -L "$file" ]; then echo "$file"; fi
  done
}

# Prints sshd_config without our lines; fails where they begin and do not end.
without_lines() {
  BEGIN=$begin END=$end awk '
    $0 == ENVIRON["BEGIN"] { inside = 1 }
    !inside
    $0 == ENVIRON["END"] { inside = 0 }
    END { exit inside }' "$main"
}

has_lines() { grep -Fqx "$begin" "$main"; }

# Prints what a file shall have. Where sshd_config does not include sshd_config.d, as on an sshd
# before 8.2, which knows no Include, our lines stand at its top: sshd takes the first of several.
wanted() {
  case $1 in
  "$revoked") ;; # without the file sshd refuses every key; without a line in it, none
  "$main")
    [ "$place" = "$drop_in" ] || printf '%s\n' "$begin" "$settings" "$end"
    without_lines
    ;;
  *) content "$1" ;;
  esac
}

regular() { [ -f "$1" ] && [ ! -L "$1" ]; }
own() { [ "$(head -n 1 "$1" 2>/dev/null | tr -d '\0')" = "$marker" ]; }
as_wanted() { [ "$1" = "$revoked" ] || wanted "$1" | cmp -s - "$1"; }

# Says that others than root can change a file or folder, if they can. (POSIX has ls alone for this.)
changeable() {
  # shellcheck disable=SC2012
  ls -ldnL "$1" 2>/dev/null | while read -r mode _ owner _; do
    [ "$owner" = 0 ] || { echo "belongs to user $owner, not to root" && break; }
    case $mode in ?????w* | ????????w*) echo "can be written by others than its owner (mode $mode)" ;; esac
  done
}

# Says why sshd, which reads principals as the account that logs in, cannot rely on it.
insecure() {
  changeable "$1" | grep . && return
  # shellcheck disable=SC2012
  ls -ldnL "$1" 2>/dev/null | while read -r mode _; do
    case $mode in
    d????????[xt]* | -??????r*) ;;
    *) echo "cannot be read by the accounts that log in (mode $mode)" ;;
    esac
  done
}
