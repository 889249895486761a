# shellcheck shell=sh disable=SC2034,SC2154 # what is used here and not set is of the files beside it
# What is not as it should be.

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

look_at_files() {
  folders=' '
  for path in $(files); do
    look_at_file "$path"
    above=${path%/*}
    while :; do
      case $folders in *" ${above:-/} "*) break ;; esac
      folders="$folders${above:-/} "
      if [ -L "$above" ] && [ "$above" != "$ssh" ]; then wrong "$above" 'is a link, which is not followed' 'put a folder in its place'; fi
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
  elif ! regular "$1"; then
    wrong "$1" 'is not a regular file' 'look at it, and put one in its place'
    return
  elif [ "$1" = "$main" ] && ! without_lines >/dev/null; then
    wrong "$1" "has the line \"$begin\" and no line \"$end\"" 'remove that line, and those of host setup below it'
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
