#!/usr/bin/env bash
# Installs the Debian packages that a make target needs and that are missing.
#
#   tools/install.sh test lint race      any of these groups; none means all
#
# Quick when nothing is missing. What it cannot install it names, and still exits 0:
# it is the tests and checks themselves that skip or, with CI set, fail without a tool.
set -euo pipefail

# Each line: group, command to look for, Debian package.
readonly wanted='
test sshd    openssh-server
test ssh     openssh-client
test openssl openssl
test curl    curl
test jq      jq
test mount   mount
test unshare util-linux
lint shellcheck shellcheck
lint curl    curl
race gcc     gcc
race ld      binutils
'
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing_packages() { # groups…
  local group command package
  while read -r group command package; do
    [[ -n $group && " $* " == *" $group "* ]] || continue
    command -v "$command" >/dev/null || echo "$package"
  done <<<"$wanted" | sort -u
}

# A package's own scripts start its service when it is installed; a test machine
# must not gain a listening sshd. policy-rc.d is Debian's switch for that. One that
# refuses everything already is left alone; any other is put back on exit.
readonly policy=/usr/sbin/policy-rc.d
readonly mark='# written by gatepass tools/install.sh, for the time of one installation'
forbid_services() {
  if grep -qsF "$mark" "$policy"; then
    restore_services # an earlier run was killed
  fi
  if [[ -e $policy ]]; then
    local status=0
    "$policy" ssh start >/dev/null 2>&1 || status=$?
    [[ $status -ne 101 ]] || return 0
    mv "$policy" "$policy.before-gatepass" || return
  fi
  trap restore_services EXIT
  printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy" && chmod 755 "$policy"
}

restore_services() {
  rm -f "$policy"
  if [[ -e $policy.before-gatepass ]]; then
    mv "$policy.before-gatepass" "$policy"
  fi
}

apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
    -o Dpkg::Use-Pty=0 "$@"
}

install_packages() { # packages…
  exec 9>/var/lock/gatepass-tools
  flock 9 # of two runs at once, the first must not restore the policy under the second
  forbid_services || return
  # The lists may be absent (a fresh image) or old (404): update only then.
  apt install --no-install-recommends "$@" 9>&- ||
    { apt update 9>&- && apt install --no-install-recommends "$@" 9>&-; } || return
  # Nor may it start at the next boot, where it was not there before.
  if [[ " $* " == *" openssh-server "* ]] && command -v systemctl >/dev/null; then
    systemctl --quiet disable ssh.service || true
  fi
}

main() {
  [[ $# -gt 0 ]] || set -- test lint race
  local packages
  mapfile -t packages < <(missing_packages "$@")
  [[ ${#packages[@]} -gt 0 ]] || return 0

  if ! command -v apt-get >/dev/null; then
    echo "tools: no apt-get here; install by hand what Debian calls: ${packages[*]}" >&2
  elif [[ $(id -u) -ne 0 ]]; then
    echo "tools: not root; run: sudo apt-get install --no-install-recommends ${packages[*]}" >&2
  else
    echo "tools: installing ${packages[*]}"
    install_packages "${packages[@]}" || true
  fi

  mapfile -t packages < <(missing_packages "$@")
  if [[ ${#packages[@]} -gt 0 ]]; then
    echo "tools: still missing: ${packages[*]}; what needs them is skipped, or fails where CI is set" >&2
  fi
}

main "$@"
