# shellcheck shell=sh disable=SC2034,SC2154 # what is used here and not set is of the files beside it
# What is written, and taken back if sshd does not go by it.

# Says why nothing can be written.
obstacles() {
  for path in "$ssh" "${place%/*}" "$folder" "$principals"; do
    if [ -L "$path" ] && [ "$path" != "$ssh" ]; then
      echo "$path is a link, which is not followed"
    elif [ -e "$path" ]; then
      problem=$(changeable "$path")
      [ -z "$problem" ] || echo "$path $problem"
    fi
  done
  for path in $(files); do
    if [ "$path" = "$main" ]; then
      regular "$main" || echo "$main is not a regular file, and its lines cannot be written: $(printf '%s\n' "$settings" | tr '\n' ';')"
      without_lines >/dev/null || echo "$main has the line \"$begin\" and no line \"$end\""
    elif [ -e "$path" ] || [ -L "$path" ]; then
      regular "$path" || echo "$path is not a regular file"
      [ "$path" = "$revoked" ] || own "$path" || echo "$path: not written by gatepassctl host setup, and not overwritten"
    fi
  done
  conflicts | sed 's/$/: sets what host setup has to set, and sshd takes the first/'
  for certificate in $host_certificates; do
    fault=$(certificate_fault "$certificate")
    [ -z "$fault" ] || echo "host certificate $certificate: $fault"
  done
}

# Prints what is done to each file. Accounts that are closed are so before others are opened.
plan() {
  for path in $(other_principals); do
    if regular "$path" && own "$path"; then echo "removed $path"; fi
  done
  for path in $(files); do
    if [ ! -e "$path" ]; then
      echo "created $path"
    elif as_wanted "$path" && { [ "$path" = "$main" ] || [ "$path" = "$revoked" ] || [ -z "$(insecure "$path")" ]; }; then
      echo "unchanged $path"
    else
      echo "updated $path"
    fi
  done
  # Our lines where they were before sshd_config came to include sshd_config.d, or no longer does.
  if [ "$place" = "$drop_in" ]; then
    ! has_lines || echo "updated $main"
  elif regular "$drop_in" && own "$drop_in"; then
    echo "removed $drop_in"
  fi
}

changed() { printf '%s\n' "$changes" | grep -v '^unchanged '; }

beside() { printf '%s' "${1%/*}/$temporary$2.${1##*/}"; } # PATH new|old

clean() { rm -f "$folder/$temporary"* "$principals/$temporary"* "$ssh/$temporary"* "${drop_in%/*}/$temporary"*; }

# Writes what a change needs beside its file: the new content, and the old to take the change
# back. After it, to make the change or to take it back is a rename, which needs no room on the disk.
stage() { # CHANGE PATH
  [ "$1" != unchanged ] || return 0
  [ -d "${2%/*}" ] || mkdir -p "${2%/*}" || return
  [ "$1" = created ] || cp -p "$2" "$(beside "$2" old)" || return
  [ "$1" != removed ] || return 0
  new=$(beside "$2" new)
  if [ "$2" = "$main" ]; then cp -p "$main" "$new" || return; fi # its owner and mode stay
  wanted "$2" >"$new" && wanted "$2" | cmp -s - "$new" && sync "$new" || return
  [ "$2" = "$main" ] || { chown 0:0 "$new" && chmod 644 "$new"; }
}

make() { # CHANGE PATH
  [ "$1" = unchanged ] || made="$2 $made"
  case $1 in
  created | updated) mv -f "$(beside "$2" new)" "$2" ;;
  removed) rm "$2" ;;
  esac
}

# Takes back what was made, the last first.
undo() {
  for path in $made; do
    old=$(beside "$path" old)
    if [ -e "$old" ]; then mv -f "$old" "$path"; else rm -f "$path"; fi
  done
  made=''
}

each() { # stage|make: for each change of the plan; $made are those that are made
  while read -r change path; do
    case $1 in
    stage) stage "$change" "$path" || return ;;
    make) make "$change" "$path" || return ;;
    esac
  done <<END
$changes
END
}

# Whether sshd takes what was written and goes by it; $problem says why not.
obeys() {
  accepted || { problem="sshd refuses its configuration with these files: $(one_line "$said")" && return 1; }
  for account in $accounts; do
    problem="sshd -T refuses its configuration for $account"
    ask "$account" || return
    problem="another line of the configuration of sshd decides for $account: $(overruled | tr '\t\n' '  ')"
    [ -z "$(overruled)" ] || return
  done
}

commit() {
  made=''
  trap 'undo; fail "interrupted; everything is as before" "run it again"' HUP INT TERM
  each make || { undo && fail 'writing failed; everything is as before' 'see what is said above'; }
  if ! obeys; then
    undo
    accepted || fail "sshd refuses its configuration, and did so before: $(one_line "$said")" "$(mend)"
    fail "$problem; everything is as before" 'fix what it says, and run it again'
  fi
  trap - HUP INT TERM
}

apply() { # RELOAD
  exec 9<"$ssh"
  if command -v flock >/dev/null && ! flock -n 9; then
    fail "another run is at work on $ssh" 'run it again when that is done; nothing was changed'
  fi
  problems=$(obstacles)
  [ -z "$problems" ] || fail "$problems" 'see to these, and run it again; nothing was changed'
  changes=$(plan)
  clean
  trap clean EXIT
  umask 022
  each stage || fail 'writing failed; nothing was changed' 'see what is said above'
  commit
  printf '%s\n' "$changes" | sort -k 2 | while read -r change path; do printf '%-10s %s\n' "$change" "$path"; done
  if changed | grep -Eq " ($drop_in|$main)\$" || not_read; then
    if [ "$1" = yes ]; then reload_sshd; else echo "now reload sshd: $reload"; fi
  elif [ -z "$(changed)" ]; then
    echo 'nothing to do: the host is set up already'
  fi
  look no >&2
  return 0 # what a person has to fix is told, and is no failure of this
}

reload_sshd() {
  for unit in ssh sshd; do
    if systemctl is-active --quiet "$unit" 2>/dev/null; then
      reloaded systemctl reload "$unit"
      return
    fi
  done
  if running; then reloaded kill -HUP "$pid"; else echo 'no sshd runs here that would have to be reloaded'; fi
}
reloaded() { # COMMAND…
  "$@" || fail 'everything is written, but sshd was not reloaded' 'reload it by hand'
  echo 'reloaded   sshd'
}

run() {
  set -u
  export LC_ALL=C
  PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
  reload='systemctl reload ssh 2>/dev/null || systemctl reload sshd'
  case $# in 0) set -- apply ;; 1) ;; *) set -- usage ;; esac
  case $1 in apply | check | reload) ;; *) echo 'usage: sh FILE [check | reload]' >&2 && exit 2 ;; esac
  [ "$(id -u)" = 0 ] || fail "only root can read and write all of $ssh" 'run it as root'
  sshd=$(command -v sshd) || fail 'there is no sshd on this host' "install OpenSSH's server first"
  for tool in awk cmp find ssh-keygen; do
    command -v "$tool" >/dev/null || fail "there is no $tool on this host" 'install it first'
  done
  [ -e "$main" ] || fail "there is no $main" "install OpenSSH's server first"
  read_configuration
  case $1 in
  check) check ;;
  reload) apply yes ;;
  apply) apply no ;;
  esac
}

run "$@"
