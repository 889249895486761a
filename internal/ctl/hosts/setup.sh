# shellcheck shell=sh disable=SC2154
# What host setup does on a host. What the host shall be is written before it, by script.go:
# accounts, labels, host_certificates, host_authorities and the function content.

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

## Files

settings=$(content "$drop_in" | grep -v '^#') # one to a line
revokes() { case $settings in *RevokedKeys*) ;; *) return 1 ;; esac }

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

## The configuration of sshd

# directives FILE SCOPE CLIENTS DEPTH prints each line of a file and of all that it includes, ours
# left out: FILE:LINE, the Match lines above it ("-": none), "some" if these are about some clients
# only, the keyword in lower case, and its arguments.
directives() {
  [ "$4" -le 16 ] || { echo "$1 is included deeper than sshd does" >&2 && return 1; }
  [ "$1" != "$drop_in" ] || return 0
  BEGIN=$begin END=$end SCOPE=$2 CLIENTS=$3 awk '
    BEGIN { scope = ENVIRON["SCOPE"]; clients = ENVIRON["CLIENTS"] }
    $0 == ENVIRON["BEGIN"] { inside = 1 }
    $0 == ENVIRON["END"] { inside = 0 }
    {
      sub(/=/, " ")
      if (inside || NF == 0 || $1 ~ /^#/) next
      keyword = tolower($1); gsub(/"/, "", keyword)
      args = ""; some = ENVIRON["CLIENTS"]
      for (i = 2; i <= NF && $i !~ /^#/; i++) {
        gsub(/^"|"$/, "", $i)
        args = args (i > 2 ? " " : "") $i
        if (tolower($i) ~ /^(address|host|localaddress|localport|rdomain)(=|$)/) some = "some"
      }
      print FILENAME ":" FNR "\t" scope "\t" clients "\t" keyword "\t" args
      if (keyword == "match") {
        scope = (ENVIRON["SCOPE"] == "-" ? "" : ENVIRON["SCOPE"] " ") "match " args
        clients = some
      }
    }' "$1" | while IFS=$tab read -r at scope clients keyword args; do
    printf '%s\t%s\t%s\t%s\t%s\n' "$at" "$scope" "$clients" "$keyword" "$args"
    [ "$keyword" = include ] || continue
    set -f
    for pattern in $args; do
      set +f
      for file in $(absolute "$pattern"); do
        [ ! -f "$file" ] || directives "$file" "$scope" "$clients" $(($4 + 1)) || exit 1
      done
    done
    set +f
  done
}

# Include's patterns are below /etc/ssh where they are not absolute, sshd_config(5).
absolute() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s' "$ssh/$1" ;; esac }

# Finds where sshd's lines are to be, and reads its configuration into $all.
read_configuration() {
  place=$main
  all=$(directives "$main" - all 0) || fail "$main cannot be read" 'see what is said above'
  if includes_drop_in; then place=$drop_in; fi
}

# Whether sshd reads the drop-in whoever logs in. * matches no slash.
includes_drop_in() {
  printf '%s\n' "$all" | while IFS=$tab read -r _ scope _ keyword args; do
    [ "$keyword $scope" = 'include -' ] || continue
    set -f
    for pattern in $args; do
      pattern=$(absolute "$pattern")
      # shellcheck disable=SC2254
      case $drop_in in
      $pattern) [ "$(printf %s "$pattern" | tr -cd /)" != "$(printf %s "$drop_in" | tr -cd /)" ] || exit 3 ;;
      esac
    done
    set +f
  done
  [ $? -eq 3 ]
}

# Lines of others that set what ours set, or that let in by other principals.
conflicts() {
  printf '%s\n' "$all" | while IFS=$tab read -r at _ _ keyword args; do
    case $keyword in
    authorizedprincipalscommand) ours=none ;;
    trustedusercakeys | authorizedprincipalsfile | revokedkeys) ours=$(printf '%s\n' "$settings" | awk -v k="$keyword" 'tolower($1) == k { print $2 }') ;;
    *) continue ;;
    esac
    [ -z "$ours" ] || [ "$args" = "$ours" ] || echo "$at: $keyword $args"
  done
}

# Has sshd test its configuration; $said is what it says.
accepted() {
  said=$("$sshd" -t 2>&1) && return
  needs=$(printf '%s\n' "$said" | tr -d '\r' | sed -n 's/^Missing privilege separation directory: //p')
  # Its service makes this, empty, when it starts, which it may not have done yet.
  [ -n "$needs" ] && mkdir -m 755 "$needs" && said=$("$sshd" -t 2>&1)
}

# What to do about a configuration that sshd refuses without us.
mend() {
  case $(lower "$said") in
  *'bad configuration option: include'*) echo 'this sshd is older than 8.2 and knows no Include: remove that line, and run this again' ;;
  *) echo 'fix that first; see sshd -t' ;;
  esac
}

# ask ACCOUNT: $effective is what sshd does for it, all files and Match blocks taken together.
ask() { effective=$("$sshd" -T -C "user=$1,$client" 2>&1); }
value() { printf '%s\n' "$effective" | awk -v k="$1" '$1 == k { printf "%s%s", between, substr($0, length(k) + 2); between = " " }'; }

# Lines of ours by which sshd does not go, though it reads them.
overruled() {
  printf '%s\n' "$settings" | while read -r keyword path; do
    [ "$keyword" != HostCertificate ] || continue
    is=$(value "$(lower "$keyword")")
    [ "$is" = "$path" ] || printf '%s\t%s\n' "$keyword" "is ${is:-not set}, not $path"
  done
}

# Whether an sshd runs: $pid, which it writes into $pidfile each time that it has read its configuration.
running() {
  ask root || return
  pidfile=$(value pidfile)
  pid=$(cat "$pidfile" 2>/dev/null) || return
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = sshd ]
}
not_read() { running && [ -n "$(find "$place" -newer "$pidfile" 2>/dev/null)" ]; }

## Host certificates

# Says what is wrong with a host certificate; sshd itself only logs that it cannot use one.
certificate_fault() {
  key=${1%-cert.pub}.pub
  [ -e "$1" ] || { echo "is not there; make it by gatepassctl host sign --write $key" && return; }
  shown=$(ssh-keygen -L -f "$1" 2>/dev/null) || { echo 'is not a certificate' && return; }
  case $shown in *' host certificate'*) ;; *) echo 'is not a host certificate; make one by gatepassctl host sign' && return ;; esac
  print=$(ssh-keygen -l -f "$key" 2>/dev/null | awk '{ print $2 }')
  printf '%s\n' "$shown" | grep -q "Public key: .* ${print:-none}" || echo "is for another key than $key; sign that by gatepassctl host sign"
}

earlier() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a "" < b "") }'; }

look_at_certificate() {
  again='sign the key again by gatepassctl host sign --write, and reload sshd'
  fault=$(certificate_fault "$1")
  [ -z "$fault" ] || { wrong "$1" "$fault" "$again" && return; }
  shown=$(TZ=UTC0 ssh-keygen -L -f "$1")
  from=$(printf '%s\n' "$shown" | sed -n 's/^ *Valid: \(from\|after\) \([^ ]*\).*/\2/p')
  to=$(printf '%s\n' "$shown" | sed -n -e 's/^ *Valid: .* to \([^ ]*\)$/\1/p' -e 's/^ *Valid: before \([^ ]*\)$/\1/p')
  now=$(date -u +%Y-%m-%dT%H:%M:%S)
  soon=$(date -u -d "@$(($(date +%s) + 14 * 86400))" +%Y-%m-%dT%H:%M:%S 2>/dev/null) || soon=$now
  if [ -n "$to" ] && ! earlier "$now" "$to"; then
    wrong "$1" "expired at ${to}Z: clients do not know the host by it" "$again"
  elif [ -n "$from" ] && earlier "$now" "$from"; then
    wrong "$1" 'is not valid yet' "set the host's clock, or wait"
  elif [ -n "$to" ] && earlier "$to" "$soon"; then
    warning "$1" "expires at ${to}Z" "$again"
  fi
  signer=$(printf '%s\n' "$shown" | sed -n 's/^ *Signing CA: .*\(SHA256:[^ ]*\).*/\1/p')
  case " ${host_authorities:-$signer} " in
  *" $signer "*) ;;
  *) wrong "$1" "was signed by $signer, which is not the service's ssh-host authority" "$again" ;;
  esac
}

## Findings

look_at_files() {
  folders=' '
  for path in $(files); do
    look_at_file "$path"
    above=${path%/*}
    while :; do
      case $folders in *" ${above:-/} "*) break ;; esac
      folders="$folders${above:-/} "
      problem=$(insecure "${above:-/}")
      [ -z "$problem" ] || wrong "${above:-/}" "$problem" "chown root ${above:-/} && chmod go-w,a+x ${above:-/}"
      [ -n "$above" ] || break
      above=${above%/*}
    done
  done
  for path in $(other_principals); do
    if regular "$path" && own "$path"; then
      differs "$path" 'lets into an account that is not set up'
    else
      wrong "$path" 'lets into an account, and is not written by gatepassctl host setup' 'remove it'
    fi
  done
  if [ "$place" = "$drop_in" ]; then
    ! has_lines || differs "$main" "has lines of host setup, which are in $drop_in now"
  elif regular "$drop_in" && own "$drop_in"; then
    differs "$drop_in" "is not included by $main"
  fi
}

look_at_file() {
  if [ ! -e "$1" ] && [ ! -L "$1" ]; then
    differs "$1" 'is missing'
    return
  elif ! regular "$1" && [ "$1" != "$main" ]; then
    wrong "$1" 'is not a regular file' 'look at it, and remove it'
    return
  elif as_wanted "$1"; then
    :
  elif [ "$1" = "$main" ]; then
    differs "$1" 'does not have the lines that host setup writes at its top'
  elif [ "$1" = "$authority" ]; then
    look_at_authority
  elif ! own "$1"; then
    wrong "$1" 'is not written by gatepassctl host setup' 'move it away, then run this without check'
  else
    differs "$1" 'is not what it should be'
  fi
  [ "$1" != "$main" ] || return 0 # which sshd alone reads
  problem=$(insecure "$1")
  if [ -z "$problem" ]; then
    :
  elif [ "$1" = "$revoked" ]; then
    wrong "$1" "$problem" "chown root $1 && chmod 0644 $1"
  else
    differs "$1" "$problem"
  fi
}

fingerprints() { grep -v '^#' | ssh-keygen -l -f - 2>/dev/null | awk '{ print $2 }'; }

# Tells what a rotation left behind.
look_at_authority() {
  have=$(fingerprints <"$authority") || :
  need=$(content "$authority" | fingerprints) || :
  if ! own "$authority"; then
    wrong "$authority" 'is not written by gatepassctl host setup' 'move it away, then run this without check'
  elif [ -z "$have" ]; then
    differs "$authority" 'is not a list of public keys'
  elif [ "$have" = "$need" ]; then
    differs "$authority" 'is not what it should be'
  fi
  for print in $need; do
    case $have in '' | *"$print"*) continue ;; esac
    differs "$authority" "does not have the key $print of the service: certificates that it signs are refused"
  done
  for print in $have; do
    case $need in *"$print"*) continue ;; esac
    differs "$authority" "has the key $print, which is not of the service or no longer: certificates that it signs are let in"
  done
}

# Who can change what sshd reads decides who gets in, which sshd does not look at; and of what
# holds for some clients only, sshd -T tells nothing.
look_at_lines() {
  conflicts | while read -r line; do
    wrong "$line" 'sets what host setup sets, and sshd takes the first' 'remove the line, if nothing else needs it'
  done
  for file in "$main" $(printf '%s\n' "$all" | sed "s/:[0-9]*$tab.*//" | sort -u | grep -Fvx "$main"); do
    problem=$(changeable "$file")
    [ -z "$problem" ] || wrong "$file" "$problem" "chown root $file && chmod go-w $file"
  done
  printf '%s\n' "$all" | while IFS=$tab read -r at scope clients keyword args; do
    case "$clients $keyword $args" in
    'some pubkeyauthentication yes') continue ;;
    'some pubkeyauthentication '* | 'some authenticationmethods '* | 'some allowusers '* | 'some allowgroups '* | \
      'some denyusers '* | 'some denygroups '* | 'some permitrootlogin '* | 'some pubkeyacceptedalgorithms '* | \
      'some pubkeyacceptedkeytypes '* | 'some casignaturealgorithms '* | 'some revokedkeys '*)
      warning "$at" "$keyword $args holds for clients of $scope only, and may keep jobs out that come from there" 'see where jobs come from'
      ;;
    esac
  done
}

entry() { # DATABASE NAME: a line of passwd(5) or shadow(5), from a directory service too
  if command -v getent >/dev/null; then getent "$1" "$2"; else awk -F: -v name="$2" '$1 == name' "/etc/$1"; fi
}

look_at_account() {
  line=$(entry passwd "$1") || :
  if [ -z "$line" ]; then
    wrong "account $1" 'does not exist on this host' "make it, such as by useradd --create-home --shell /bin/sh $1, or take it from --logins"
    return
  fi
  shell=${line##*:}
  case $shell in
  */nologin | */false) wrong "account $1" "has the shell $shell, which runs no command" "chsh -s /bin/sh $1" ;;
  ?*) [ -e "$shell" ] || wrong "account $1" "has the shell $shell, which does not exist, so sshd refuses it" "chsh -s /bin/sh $1" ;;
  esac
}

# Whether one of some names is matched by one of some patterns of sshd_config(5): * and ? are
# special, and what follows an @ is about the client's host, which is not known here.
matches() ( # PATTERNS NAMES
  set -f
  for pattern in $1; do
    literal=$(printf %s "$pattern" | sed 's/[][\\]/\\&/g')
    for name in $2; do
      case $name in *@*) user=$literal ;; *) user=${literal%@*} ;; esac
      # shellcheck disable=SC2254
      case $name in $user) exit 0 ;; esac
    done
  done
  exit 1
)

# What keeps an account out although its certificate is good.
look_at_entrance() {
  for keyword in AllowUsers DenyUsers AllowGroups DenyGroups; do
    patterns=$(value "$(lower "$keyword")")
    [ -n "$patterns" ] || continue
    case $keyword in *Users) names=$1 ;; *) names=$(id -nG "$1" 2>/dev/null) || continue ;; esac
    about="sshd, for $1: $keyword"
    everywhere=$(printf '%s\n' "$patterns" | tr ' ' '\n' | grep -v @ | tr '\n' ' ')
    case $keyword in
    Allow*) matches "$patterns" "$names" || wrong "$about" "is $patterns, which the account is not among" 'add it there' ;;
    *)
      if matches "$everywhere" "$names"; then
        wrong "$about" "is $patterns, which keeps the account out" 'take it from there'
      elif matches "$patterns" "$names"; then
        warning "$about" "is $patterns, which keeps the account out from some addresses" 'see that jobs come from others'
      fi
      ;;
    esac
  done
  ways=$(value authenticationmethods)
  case " ${ways:-any} " in # each of its lists is a way in, with all methods of the list
  *' any '* | *' publickey '*) ;;
  *) wrong "sshd, for $1: AuthenticationMethods" "is $ways, so a certificate alone is not enough" 'add publickey as a list of its own' ;;
  esac
  if [ "$1 $(value permitrootlogin)" = 'root no' ]; then
    wrong "sshd, for $1: PermitRootLogin" 'is no' 'write PermitRootLogin prohibit-password, or use another account'
  fi
  case $(entry shadow "$1") in
  "$1":!*) [ "$(value usepam)" = yes ] || wrong "account $1" 'is locked, and without UsePAM sshd refuses those' "usermod -p '*' $1, which allows no password and is not locked" ;;
  esac
}

# look_at_effect ACCOUNT CONFIGURED: what sshd does for an account.
look_at_effect() {
  if [ "$2" = yes ]; then
    overruled | while IFS=$tab read -r keyword problem; do
      wrong "sshd, for $1: $keyword" "$problem" "find where it is set: grep -ri $keyword $ssh; then remove that line"
    done
  fi
  case $(value authorizedprincipalscommand) in
  none | '') ;;
  *) wrong "sshd, for $1: AuthorizedPrincipalsCommand" "is $(value authorizedprincipalscommand), which lets in by principals of its own" 'remove it' ;;
  esac
  if [ "$(value pubkeyauthentication)" = no ]; then
    wrong "sshd, for $1: PubkeyAuthentication" 'is no, so no certificate is let in' 'write PubkeyAuthentication yes'
  fi
  # Without these no certificate of Gatepass is let in; the last is the second before 8.5.
  for need in casignaturealgorithms:ecdsa-sha2-nistp256 pubkeyacceptedalgorithms:ecdsa-sha2-nistp256-cert-v01@openssh.com \
    pubkeyacceptedkeytypes:ecdsa-sha2-nistp256-cert-v01@openssh.com; do
    case ",$(value "${need%%:*}")," in
    ,, | *",${need#*:},"*) ;;
    *) wrong "sshd, for $1: ${need%%:*}" "lacks ${need#*:}" "add it: ${need%%:*} +${need#*:}" ;;
    esac
  done
  for certificate in $host_certificates; do
    case " $(value hostkey) " in
    *" ${certificate%-cert.pub} "*) ;;
    *) wrong "sshd, for $1: HostKey" "does not name ${certificate%-cert.pub}, so its certificate is not shown" "add HostKey ${certificate%-cert.pub}" ;;
    esac
    case " $(value hostcertificate) " in
    *" $certificate "*) ;;
    *) [ "$2" != yes ] || wrong "sshd, for $1: HostCertificate" "does not name $certificate" 'run this without check' ;;
    esac
  done
  list=$(value revokedkeys)
  if ! revokes && [ "${list:-none}" != none ] && [ ! -r "$list" ]; then
    wrong "sshd, for $1: RevokedKeys" "is $list, which cannot be read, so every key is refused" 'make it, or remove the line'
  fi
}

# look READ prints all findings; READ is no where sshd is known not to have read its configuration.
look() {
  of_files=$(look_at_files)
  [ -z "$of_files" ] || printf '%s\n' "$of_files"
  configured=yes
  case $of_files in *" $place: "*) configured=no ;; esac
  look_at_lines
  if [ "$1" = yes ] && not_read; then
    wrong sshd "has not read $place since it was written" "have it do so: run this with reload, or: $reload"
  fi
  for account in $accounts; do look_at_account "$account"; done
  for certificate in $host_certificates; do look_at_certificate "$certificate"; done
  if ! accepted; then
    wrong 'sshd -t' "$(one_line "$said")" "$(mend)"
    return
  fi
  for account in $accounts; do
    ask "$account" || { wrong 'sshd -T' "$(one_line "$effective")" 'fix its configuration' && continue; }
    look_at_effect "$account" "$configured"
    look_at_entrance "$account"
  done
}

check() {
  found=$(look yes)
  [ -z "$found" ] || printf '%s\n' "$found"
  things=$(printf '%s\n' "$found" | grep -Ec '^(differs|wrong) ') || :
  if [ "$things" -gt 0 ]; then
    fail "not as it should be on this host: $things" 'run this without check for what differs, and do what the other lines say'
  fi
  [ -n "$found" ] || echo "ok: certificates are let in for $(echo "$accounts" | sed 's/ /, /g'), of roles without node_labels${labels:+ or whose node_labels hold for $labels}"
}

## Changes

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
  [ -e "$main" ] || fail "there is no $main" "install OpenSSH's server first"
  read_configuration
  case $1 in
  check) check ;;
  reload) apply yes ;;
  apply) apply no ;;
  esac
}

run "$@"
