#!/usr/bin/env bash
# Runs the Go benchmarks, then every script of test/bench. COUNT=10 gives benchstat
# enough to compare two runs with:
#
#   make bench COUNT=10 >old.txt; …; make bench COUNT=10 >new.txt
#   go tool -modfile=tools/go.mod benchstat old.txt new.txt
set -euo pipefail

go test -run='^$' -bench=. -benchmem -count="${COUNT:-1}" ./...

shopt -s nullglob
for script in test/bench/*.sh; do
  [[ -x $script ]] || continue # others are parts of these
  echo "bench: $script"
  "$script"
done
