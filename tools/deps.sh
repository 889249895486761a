#!/usr/bin/env bash
# Lists the modules that are linked into the programs, checks what is downloaded
# against go.sum, and go.mod against the imports.
set -euo pipefail

go list -deps -f '{{with .Module}}{{.Path}} {{.Version}}{{end}}' ./... | sort -u
go mod verify

# With a difference go prints it. Without one it can still fail: tidy also wants what
# only the tests of other modules need, which is used nowhere else and which a
# restricted proxy may not have.
status=0
difference=$(go mod tidy -diff) || status=$?
if [[ -n $difference ]]; then
  printf '%s\ndeps: go.mod is not tidy, run go mod tidy\n' "$difference" >&2
  exit 1
fi
if [[ $status -ne 0 ]]; then
  echo 'deps: whether go.mod is tidy COULD NOT BE CHECKED, for the reason above' >&2
fi
