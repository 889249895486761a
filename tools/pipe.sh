#!/usr/bin/env bash
# Builds the image of the Bitbucket pipe with buildah, for both architectures, and writes
# it to DIR/gatepass-pipe.oci.tar, an OCI archive. The same commit gives the same bytes:
# times are those of SOURCE_DATE_EPOCH, by default the commit's.
#
#   tools/pipe.sh DIR [NAME=VALUE…] GO_BUILD…      go build with the flags of a release
#
# GOARCHES names the architectures (amd64 arm64); CA_CERTIFICATES the authorities that
# the pipe checks web servers by, by default this machine's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly limit=10000000 # bytes of an image, unpacked
readonly certificates=${CA_CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}
readonly image=localhost/gatepass-pipe
readonly name=gatepass-pipe.oci.tar

fail() {
  echo "pipe: $*" >&2
  exit 1
}

[[ $# -ge 2 ]] || fail 'usage: tools/pipe.sh DIR GO_BUILD…'
out=$1
shift
read -ra arches <<<"${GOARCHES:-amd64 arm64}"
command -v buildah >/dev/null || fail 'buildah is missing: run make tools, or install what Debian calls buildah'
[[ -s $certificates ]] || fail "there are no authorities in $certificates: install what Debian calls ca-certificates, or set CA_CERTIFICATES"

epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
context=$work/context
mkdir -p "$context" "$out"

# Storage of its own: nothing of the machine's images is used or changed. Copying files
# is all that there is to do, so it takes neither overlay mounts nor namespaces.
build() { buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }

cp LICENSE THIRD_PARTY_CLIENT.txt ci/bitbucket-pipe/{Dockerfile,README.md,pipe.yml} "$context"
cp "$certificates" "$context/ca-certificates.crt"
for arch in "${arches[@]}"; do
  env GOOS=linux GOARCH="$arch" "$@" -o "$context/gatepass-linux-$arch" ./cmd/gatepass
done
chmod -R u=rwX,go=rX "$context" # whatever the umask

build manifest create "$image" >/dev/null
for arch in "${arches[@]}"; do
  build bud --quiet --isolation chroot --format oci --timestamp "$epoch" --platform "linux/$arch" --build-arg "TARGETARCH=$arch" \
    --label org.opencontainers.image.source=https://github.com/gatepass-ci/gatepass \
    --label org.opencontainers.image.licenses=Apache-2.0 \
    --manifest "$image" "$context" >/dev/null
  size=$(cat "$context"/{LICENSE,THIRD_PARTY_CLIENT.txt,README.md,pipe.yml,ca-certificates.crt,"gatepass-linux-$arch"} | wc -c)
  echo "pipe: linux/$arch: $size bytes of $limit"
  [[ $size -le $limit ]] || fail "the image for $arch is too large"
done
build manifest push --quiet --all "$image" "oci:$work/oci:latest" >/dev/null
tar --create --file "$work/$name" --directory "$work/oci" \
  --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --format=ustar --mode=u=rwX,go=rX .
mv "$work/$name" "$out/$name"
echo "pipe: $out/$name: $(wc -c <"$out/$name") bytes, compressed, for ${arches[*]}"
