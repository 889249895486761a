#!/usr/bin/env bash
# The parts of `make release` that are more than one command; docs/release.md says what a
# release has. DIST holds what the targets clients and admins have built.
#
#   tools/release.sh sboms DIST VERSION    an SBOM (CycloneDX, JSON) beside each program
#   tools/release.sh orb DIST VERSION      DIST/orb.yml, with the checksums of the clients
#   tools/release.sh pin DIST VERSION      the same into the orb's source and the committed orb
#   tools/release.sh provenance DIST VERSION
#                                          DIST/provenance.json, what the files in DIST were built from
#   tools/release.sh sums DIST             DIST/SHA256SUMS, of everything else in DIST
#   tools/release.sh sign DIST VERSION     the signatures of these two, by the private keys that
#                                          RELEASE_MINISIGN_KEY and RELEASE_ECDSA_KEY name. minisign
#                                          and openssl ask for the passphrase of each, or read it
#                                          from RELEASE_PASSPHRASE_FILE, of which it is the only
#                                          line. Of DIST it needs only these two files.
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

readonly repository=https://github.com/gatepass-ci/gatepass

# The index of the pipe's image, which a registry shows as its digest.
image_digest() {
  [[ ! -f gatepass-pipe.oci.tar ]] ||
    tar --extract --to-stdout --file gatepass-pipe.oci.tar ./index.json |
    jq -r '.manifests[0].digest | ltrimstr("sha256:") + "  docker.io/gatepassci/gatepass-pipe"'
}

# An in-toto statement (https://in-toto.io/Statement/v1) with SLSA's provenance. It says only
# what is so wherever the release is built, and no time, and so it is the same bytes there.
provenance() { # version
  local tag=v$1 commit toolchain
  rm -f provenance.json
  commit=$(git -C "$root" rev-parse HEAD 2>/dev/null) || commit=none
  if [[ $(git -C "$root" rev-parse --quiet --verify "refs/tags/$tag^{commit}" 2>/dev/null) != "$commit" ||
    -n $(git -C "$root" status --porcelain) ]]; then
    echo "release: no provenance, so that nothing here can be signed: $root is not a clean checkout of the tag $tag" >&2
    return 0
  fi
  toolchain=$(sed -n 's/^toolchain go//p' "$root/go.mod")
  local files=(*)
  { sums "${files[@]}" && image_digest; } |
    jq --raw-input --null-input --arg repository "$repository" --arg tag "$tag" --arg commit "$commit" --arg go "$toolchain" '{
      _type: "https://in-toto.io/Statement/v1",
      subject: [inputs | {name: .[66:], digest: {sha256: .[:64]}}],
      predicateType: "https://slsa.dev/provenance/v1",
      predicate: {
        buildDefinition: {
          buildType: ($repository + "/blob/main/docs/release.md#provenance"),
          externalParameters: {repository: $repository, ref: ("refs/tags/" + $tag)},
          resolvedDependencies: [
            {uri: ("git+" + $repository + "@refs/tags/" + $tag), digest: {gitCommit: $commit}},
            {uri: ("pkg:golang/std@" + $go)}
          ]
        },
        runDetails: {builder: {id: ($repository + "/blob/main/docs/release.md#builder")}}
      }
    }' >provenance.json.new
  mv provenance.json.new provenance.json
}

readonly signatures=(SHA256SUMS.minisig SHA256SUMS.sig provenance.intoto.jsonl)

ecdsa() { # signs standard input; base64 on one line
  local pass=()
  [[ -z ${RELEASE_PASSPHRASE_FILE:-} ]] || pass=(-passin "file:$RELEASE_PASSPHRASE_FILE")
  openssl dgst -sha256 -sign "$RELEASE_ECDSA_KEY" "${pass[@]}" | openssl base64 -A
}

sign() { # version
  local type=application/vnd.in-toto+json signature key
  for key in RELEASE_MINISIGN_KEY RELEASE_ECDSA_KEY; do
    [[ -f ${!key:-} ]] || { echo "release: not signed: $key does not name the file of a private key" >&2; return 1; }
  done
  rm -f "${signatures[@]}"
  if ! grep -qsF "\"ref\": \"refs/tags/v$1\"" provenance.json; then
    echo "release: not signed: there is no provenance.json of v$1; run make release on a clean checkout of that tag" >&2
    return 1
  fi
  grep -q '^[0-9a-f]*  provenance.json$' SHA256SUMS && sha256sum --quiet --strict --ignore-missing --check SHA256SUMS || return 1

  minisign -S -H -s "$RELEASE_MINISIGN_KEY" -m SHA256SUMS -x SHA256SUMS.minisig -t "gatepass v$1" \
    <"${RELEASE_PASSPHRASE_FILE:-/dev/tty}" >/dev/null
  signature=$(ecdsa <SHA256SUMS)
  printf '%s\n' "$signature" >SHA256SUMS.sig
  # DSSE: what is signed is PAE(type, payload), the pre-authentication encoding.
  signature=$({ printf 'DSSEv1 %d %s %d ' "${#type}" "$type" "$(wc -c <provenance.json)" && cat provenance.json; } | ecdsa)
  printf '{"payloadType":"%s","payload":"%s","signatures":[{"keyid":"","sig":"%s"}]}\n' \
    "$type" "$(openssl base64 -A <provenance.json)" "$signature" >provenance.intoto.jsonl
  echo "release: signed v$1: ${signatures[*]}"
}

case $part in
  sboms) sboms "$3" ;;
  orb) orb "$3" ;;
  pin) pin "$3" ;;
  provenance) provenance "$3" ;;
  sign) sign "$3" ;;
  sums)
    rm -f SHA256SUMS "${signatures[@]}"
    files=(*)
    sums "${files[@]}" >SHA256SUMS
    ;;
  *)
    echo "usage: $0 sboms|orb|pin|provenance|sums|sign DIST [VERSION]" >&2
    exit 2
    ;;
esac
