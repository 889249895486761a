#!/usr/bin/env bash
# The parts of `make release` that are more than one command; docs/release.md says what a
# release has. DIST holds what the targets clients and admins have built.
#
#   tools/release.sh sboms DIST VERSION    an SBOM (CycloneDX, JSON) beside each program
#   tools/release.sh orb DIST VERSION      DIST/orb.yml, with the checksums of the clients
#   tools/release.sh pin DIST VERSION      the same into the orb's source and the committed orb
#   tools/release.sh sums DIST             DIST/SHA256SUMS, of everything else in DIST
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
part=$1
cd "$2"
dist=$PWD

sums() { # files…
  LC_ALL=C sha256sum -- "$@"
}

# The SBOM is made of what the linker has put into the program: the modules that are in it,
# not those that go.mod names. Without what differs each time or place (a serial number
# and the time) and the hashes of the tool itself it is reproducible too.
sboms() { # version
  local file
  for file in gatepass*_"$1"_*64; do
    (cd "$root" && go tool -modfile=tools/sbom/go.mod cyclonedx-gomod bin -json -noserial -std -version "$1" "$dist/$file") 2>"$file.log" |
      jq 'del(.metadata.timestamp, .metadata.tools[].hashes)' >"$file.cdx.json" || { cat "$file.log" >&2; return 1; }
    rm "$file.log"
  done
}

readonly orb=$root/ci/circleci-orb

checksums() { # version
  local clients=(gatepass_"$1"_*64) # not the SBOMs
  sums "${clients[@]}"
}

pack() { # arguments of the packer
  (cd "$root" && go run ./ci/circleci-orb/pack "$@" ci/circleci-orb/src)
}

# An orb that is committed with checksums of this version is in use by its URL already: this
# build must be the one that they are of.
orb() { # version
  checksums "$1" >clients.sum
  pack -version "$1" -checksums "$dist/clients.sum" >orb.yml
  rm clients.sum
  if [[ $(<"$orb/src/release/version.txt") == "$1" ]] && grep -q "^[0-9a-f]" "$orb/src/release/checksums.txt" &&
    ! cmp orb.yml "$orb/orb.yml"; then
    echo "release: the committed orb has other checksums of $1; is Go the same version ($(go env GOVERSION)) as when they were made?" >&2
    return 1
  fi
}

pin() { # version
  printf %s "$1" >"$orb/src/release/version.txt"
  checksums "$1" >"$orb/src/release/checksums.txt"
  pack >"$orb/orb.yml"
}

case $part in
  sboms) sboms "$3" ;;
  orb) orb "$3" ;;
  pin) pin "$3" ;;
  sums)
    rm -f SHA256SUMS
    files=(*)
    sums "${files[@]}" >SHA256SUMS
    ;;
  *)
    echo "usage: $0 sboms|orb|pin|sums DIST [VERSION]" >&2
    exit 2
    ;;
esac
