#!/usr/bin/env bash
# Installs what a make target needs and is missing: Debian packages by apt-get, Python
# programs by pip into .tools/venv-NAME, pinned by tools/venv-NAME.txt, and DynamoDB Local by
# Maven into .tools/dynamodb, pinned by tools/dynamodb/pom.xml.
#
#   tools/install.sh test lint race demo   any of these groups; none means all
#
# Quick when nothing is missing. What it cannot install it names, and still exits 0:
# it is the tests and checks themselves that skip or, with CI set, fail without a tool.
set -euo pipefail

# Each line: group, command to look for, Debian package.
readonly wanted='
test sshd    openssh-server
test ssh     openssh-client
test openssl openssl
test minisign minisign
test curl    curl
test jq      jq
test bats    bats
test make    make
test mount   mount
test unshare util-linux
test busybox busybox-static
test shellcheck shellcheck
test rsync   rsync
test git     git
test java    openjdk-17-jre-headless
test javac   openjdk-17-jdk-headless
test nginx   nginx-light
test redis-server redis-server
test redis-cli    redis-tools
test /usr/lib/postgresql/15/bin/postgres postgresql-15
test /usr/lib/postgresql/15/bin/psql     postgresql-client-15
test podman  podman
test buildah buildah
test runc    runc
test conmon  conmon
test update-ca-certificates ca-certificates
demo sshd openssh-server
demo ssh  openssh-client
lint shellcheck shellcheck
lint curl    curl
race gcc     gcc
race ld      binutils
'
# Each line: group, virtual environment. One each, since their requirements clash.
readonly venvs='
test ansible
test checkov
test moto
test sam
test yaml
lint sam
lint yaml
lint hadolint
'
# Each line: package, the service that it would start at boot.
readonly services='
openssh-server ssh.service
nginx-light    nginx.service
redis-server   redis-server.service
postgresql-15  postgresql.service
podman         podman.socket
podman         podman-auto-update.timer
podman         podman-restart.service
'
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
cd "$(dirname "${BASH_SOURCE[0]}")/.."

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
  exec 9>/var/cache/gatepass-tools.lock
  flock 9 # of two runs at once, the first must not restore the policy under the second
  forbid_services || return
  # The lists may be absent (a fresh image) or old (404): update only then.
  apt install --no-install-recommends "$@" 9>&- ||
    { apt update 9>&- && apt install --no-install-recommends "$@" 9>&-; } || return
  # Nor may one start at the next boot, where it was not there before.
  local package unit
  command -v systemctl >/dev/null || return 0
  while read -r package unit; do
    if [[ -n $package && " $* " == *" $package "* ]]; then
      systemctl --quiet disable "$unit" || true
    fi
  done <<<"$services"
}

# A virtual environment is whole when it holds a copy of the file that it was made from.
missing_venvs() { # groups…
  local group name
  while read -r group name; do
    [[ -n $group && " $* " == *" $group "* ]] || continue
    cmp -s "tools/venv-$name.txt" ".tools/venv-$name/requirements.txt" || echo "$name"
  done <<<"$venvs" | sort -u
}

# Debian's python3 cannot make a virtual environment without the package python3-venv.
ensure_python() {
  python3 -c 'import venv, ensurepip' 2>/dev/null && return
  command -v apt-get >/dev/null && [[ $(id -u) -eq 0 ]] || return
  echo 'tools: installing python3-venv'
  install_packages python3-venv
}

install_venv() { # name
  local dir=.tools/venv-$1
  echo "tools: installing $dir"
  mkdir -p .tools
  exec 8>".tools/venv-$1.lock"
  flock 8
  # Made by another run meanwhile?
  if cmp -s "tools/venv-$1.txt" "$dir/requirements.txt"; then
    return
  fi
  rm -rf "$dir"
  python3 -m venv "$dir" 8>&- &&
    "$dir/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "tools/venv-$1.txt" 8>&- &&
    cp "tools/venv-$1.txt" "$dir/requirements.txt"
}

install_venvs() { # groups…
  local names name
  mapfile -t names < <(missing_venvs "$@")
  [[ ${#names[@]} -gt 0 ]] || return 0
  if ! ensure_python; then
    echo "tools: Python 3 with venv is missing; install what Debian calls python3-venv" >&2
  fi
  for name in "${names[@]}"; do
    install_venv "$name" || true
  done
  mapfile -t names < <(missing_venvs "$@")
  if [[ ${#names[@]} -gt 0 ]]; then
    echo "tools: still missing: .tools/venv-{${names[*]}}; what needs them is skipped, or fails where CI is set" >&2
  fi
}

# DynamoDB Local is whole when its folder holds a copy of the file that it was made from.
dynamodb_missing() { # groups…
  [[ " $* " == *' test '* ]] && ! cmp -s tools/dynamodb/pom.xml .tools/dynamodb/pom.xml
}

install_dynamodb() { # groups…
  dynamodb_missing "$@" || return 0
  echo 'tools: installing .tools/dynamodb'
  if ! command -v mvn >/dev/null && command -v apt-get >/dev/null && [[ $(id -u) -eq 0 ]]; then
    install_packages maven || true
  fi
  mkdir -p .tools
  if command -v mvn >/dev/null; then
    fetch_dynamodb || true
  else
    echo 'tools: Maven is missing; install what Debian calls maven' >&2
  fi
  if dynamodb_missing "$@"; then
    echo 'tools: still missing: .tools/dynamodb; what needs it is skipped, or fails where CI is set' >&2
  fi
}

fetch_dynamodb() {
  exec 7>.tools/dynamodb.lock
  flock 7
  if ! dynamodb_missing test; then # made by another run meanwhile
    return
  fi
  rm -rf .tools/dynamodb
  mvn --quiet --batch-mode -Dstyle.color=never --no-transfer-progress --file tools/dynamodb/pom.xml dependency:copy-dependencies 7>&- &&
    cp tools/dynamodb/pom.xml .tools/dynamodb/pom.xml
}

main() {
  [[ $# -gt 0 ]] || set -- test lint race demo
  install_wanted "$@"
  install_venvs "$@"
  install_dynamodb "$@"
}

install_wanted() { # groups…
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
