# shellcheck shell=sh disable=SC2034,SC2154 # what is used here and not set is of the files beside it
# The configuration of sshd: its lines, where ours are, and what sshd itself makes of them.

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
