#!/usr/bin/env bash
# Installs the Gatepass client. What was downloaded, or restored from the cache, is compared
# with its SHA-256 before anything else is done with it; nothing that differs is kept or run.
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

sha256() { # file
  if command -v sha256sum >/dev/null; then
    sha256sum <"$1"
  else
    shasum -a 256 <"$1"
  fi | cut -d ' ' -f 1
}

verified() { # file
  [ -f "$1" ] && [ "$(sha256 "$1")" = "$checksum" ]
}

# checksum_of finds a file in a list of checksums on standard input.
checksum_of() { # name
  local sum name
  while read -r sum name; do
    [ "${name#\*}" != "$1" ] || printf '%s' "$sum"
  done
}

download() { # url file
  local allowed='=https'
  if [[ $1 =~ ^http://(127\.0\.0\.1|localhost):[0-9]+/ ]]; then
    allowed='=http'
  fi
  curl --globoff --fail --silent --show-error --location --proto "$allowed" --proto-redir "$allowed" \
    --retry 3 --connect-timeout 20 --max-time 300 --output "$2" -- "$1" ||
    fail "the client cannot be downloaded from $1" \
      'check the parameters version and base_url; where the job has no way out, serve the release from a host of yours and name it in base_url'
}

# signed_checksum_of finds a file in the SHA256SUMS of its release, which must be signed by the
# public key that came with the orb. Without that key or openssl it finds nothing.
signed_checksum_of() ( # name
  case $ORB_RELEASE_KEY in
    *'-----BEGIN PUBLIC KEY-----'*) command -v openssl >/dev/null || exit 0 ;;
    *) exit 0 ;;
  esac
  dir=$(mktemp -d)
  trap 'rm -rf -- "$dir"' EXIT
  printf '%s\n' "$ORB_RELEASE_KEY" >"$dir/key"
  download "$base_url/v$version/SHA256SUMS" "$dir/sums"
  download "$base_url/v$version/SHA256SUMS.sig" "$dir/sig"
  if ! { openssl base64 -d -A -in "$dir/sig" -out "$dir/der" &&
    openssl dgst -sha256 -verify "$dir/key" -signature "$dir/der" "$dir/sums"; } >/dev/null 2>&1; then
    fail "SHA256SUMS of release $version is not signed by the key that this orb has" \
      'do not go on: either the release was tampered with, or its key is another; see SECURITY.md of Gatepass'
  fi
  checksum_of "$1" <"$dir/sums"
)

# place puts the verified client where it is run from, at once, as root only if it must.
place() { # file
  local run=''
  umask 022 # of folders on the way, also if they are root's: every user may run it
  if ! mkdir -p -- "$install_dir" 2>/dev/null || [ ! -w "$install_dir" ]; then
    command -v sudo >/dev/null || fail "this user cannot write to $install_dir, and there is no sudo" \
      'set the parameter install_dir to a directory of this user'
    run=sudo
    sudo mkdir -p -- "$install_dir"
  fi
  local new=$install_dir/.gatepass.$$
  $run cp -- "$1" "$new"
  $run chmod 0755 "$new"
  $run mv -f -- "$new" "$install_dir/gatepass"
}

# Before anything else: what cannot be told to the later steps is of no use to them.
if ! { [ -n "${BASH_ENV:-}" ] && : >>"$BASH_ENV"; }; then
  fail 'BASH_ENV names no file that can be written to' 'CircleCI sets it for every job; do not change it'
fi
command -v curl >/dev/null ||
  fail 'curl is not here' 'use an image that has it, such as cimg/base'
command -v sha256sum >/dev/null || command -v shasum >/dev/null ||
  fail 'neither sha256sum nor shasum is here, so the client cannot be verified' 'use an image that has one, such as cimg/base'

version=$(expand "$ORB_VERSION"); version=${version%.}
base_url=$(expand "$ORB_BASE_URL"); base_url=${base_url%.}
install_dir=$(expand "$ORB_INSTALL_DIR"); install_dir=${install_dir%.}
checksum=$(expand "$ORB_CHECKSUM"); checksum=${checksum%.}

case $version in
  '' | *[!0-9A-Za-z.+-]*) fail 'the parameter version is not a version' 'write it as in version: 1.2.3' ;;
esac
# shellcheck disable=SC2016 # the hint is what to write
case $install_dir in
  /*) ;;
  *) fail 'the parameter install_dir is not an absolute path' 'write it as in install_dir: $HOME/.local/bin' ;;
esac
case $(uname -s) in
  Linux) os=linux ;;
  Darwin) os=darwin ;;
  *) fail "there is no client for $(uname -s)" 'use a Linux or macOS executor' ;;
esac
case $(uname -m) in
  x86_64 | amd64) arch=amd64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) fail "there is no client for $(uname -m)" 'use an amd64 or arm64 executor' ;;
esac
name=gatepass_${version}_${os}_$arch

[ -n "$checksum" ] || checksum=$(printf '%s\n' "$ORB_CHECKSUMS" | checksum_of "$name")
[ -n "$checksum" ] || checksum=$(signed_checksum_of "$name")
case $checksum in
  '') fail "this orb has no checksum of $name, and installs nothing that it cannot verify" \
    "set the parameter checksum to the SHA-256 of $name, from the release's SHA256SUMS" ;;
  *[!0-9a-f]*) fail 'the parameter checksum is not a SHA-256' 'write its 64 digits 0-9 and a-f, nothing else' ;;
esac
[ ${#checksum} -eq 64 ] || fail 'the parameter checksum is not a SHA-256' 'write its 64 digits 0-9 and a-f, nothing else'

cache=$HOME/.cache/gatepass-orb
cached=$cache/$name
if verified "$install_dir/gatepass"; then
  echo "$name is installed already"
else
  mkdir -p -- "$cache"
  if ! verified "$cached"; then
    rm -f -- "$cached"
    part=$cached.$$
    trap 'rm -f -- "$part"' EXIT
    download "$base_url/v$version/$name" "$part"
    if ! verified "$part"; then
      fail "the SHA-256 of what was downloaded is $(sha256 "$part"), and not $checksum; it was removed and has not been run" \
        'do not go on: either the checksum is of another version or platform, or the file was tampered with'
    fi
    mv -f -- "$part" "$cached"
  fi
  place "$cached"
  verified "$install_dir/gatepass" || fail "$install_dir/gatepass is not what was just put there" 'something else in this job writes there'
  echo "installed $name in $install_dir"
fi

# The newline before it ends a line that another step has left without.
# shellcheck disable=SC2016 # the shell that reads BASH_ENV expands PATH
case :$PATH: in
  *":$install_dir:"*) ;;
  *) printf '\nexport PATH=%q:"$PATH"\n' "$install_dir" >>"$BASH_ENV" ;;
esac
"$install_dir/gatepass" version
