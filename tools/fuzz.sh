#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time, 30s by default, and names
# all that fail:  tools/fuzz.sh 2m
set -euo pipefail

readonly time=${1:-30s}
failed=()
found=0

# An input that is merely new is made smaller in ten tries: by default that takes up to a minute each, in
# which nothing else of a target with many paths is tried.
# Targets are found by asking the test programs themselves; the line that follows the
# names of a package's targets is "ok PACKAGE TIME".
list=$(go test -run='^$' -list='^Fuzz' ./...)
targets=()
while read -r first second _; do
  case $first in
    Fuzz*) targets+=("$first") ;;
    ok)
      for target in "${targets[@]}"; do
        found=$((found + 1))
        echo "fuzz: $second $target for $time"
        go test -run='^$' -fuzz="^$target\$" -fuzztime="$time" -fuzzminimizetime=10x "$second" || failed+=("$second.$target")
      done
      targets=()
      ;;
  esac
done <<<"$list"

if [[ $found -eq 0 ]]; then
  echo 'fuzz: no fuzz target was found' >&2
  exit 1
fi
if [[ ${#failed[@]} -gt 0 ]]; then
  printf 'fuzz: FAILED: %s\nwhat failed is now in testdata/fuzz: fix it and commit the file\n' "${failed[*]}" >&2
  exit 1
fi
echo "fuzz: ok, $found targets"
