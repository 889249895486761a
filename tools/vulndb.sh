#!/usr/bin/env bash
# Makes .tools/vulndb, the database that govulncheck asks, of the module that
# tools/vulndb/go.mod pins. Quick when it is there already.
#
#   tools/vulndb.sh           make it
#   tools/vulndb.sh newest    pin the newest one first
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == newest ]]; then
  (cd tools/vulndb && go get golang.org/x/vulndb@latest)
fi
readonly to=.tools/vulndb
if cmp -s tools/vulndb/go.mod "$to/go.mod"; then
  exit 0
fi
mkdir -p .tools
exec 9>.tools/vulndb.lock
flock 9
rm -rf "$to" "$to.new"
module=$(cd tools/vulndb && go mod download -json golang.org/x/vulndb | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
(cd tools/vulndb && go run . "$module" "../../$to.new")
cp tools/vulndb/go.mod "$to.new/go.mod" # it is whole when it holds what it was made from
mv "$to.new" "$to"
