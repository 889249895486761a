#!/usr/bin/env bash
# The parts of `make release` that are more than one command; docs/release.md says what a
# release has. DIST holds what the targets clients and admins have built.
#
#   tools/release.sh sboms DIST VERSION    an SBOM (CycloneDX, JSON) beside each program
#   tools/release.sh orb DIST VERSION      DIST/orb.yml, with the checksums of the clients
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
# not those that go.mod names. Without the two fields that differ each time (a serial number
# and the time) it is reproducible too.
sboms() { # version
  local file
  for file in gatepass*_"$1"_*64; do
    (cd "$root" && go tool -modfile=tools/sbom/go.mod cyclonedx-gomod bin -json -noserial -std -version "$1" "$dist/$file") 2>"$file.log" |
      jq 'del(.metadata.timestamp)' >"$file.cdx.json" || { cat "$file.log" >&2; return 1; }
    rm "$file.log"
  done
}

orb() { # version
  local clients=(gatepass_"$1"_*64) # not the SBOMs
  sums "${clients[@]}" >clients.sum
  (cd "$root" && go run ./ci/circleci-orb/pack -version "$1" -checksums "$dist/clients.sum" ci/circleci-orb/src) >orb.yml
  rm clients.sum
}

case $part in
  sboms) sboms "$3" ;;
  orb) orb "$3" ;;
  sums)
    rm -f SHA256SUMS
    files=(*)
    sums "${files[@]}" >SHA256SUMS
    ;;
  *)
    echo "usage: $0 sboms|orb|sums DIST [VERSION]" >&2
    exit 2
    ;;
esac
