#!/usr/bin/env bash
# Runs every static check and names all that fail, not just the first.
set -euo pipefail

readonly go_tool=(go tool -modfile=tools/go.mod)
failed=()
unchecked='' # said again in the last line

check() { # name command…
  local name=$1
  shift
  echo "lint: $name"
  "$@" || failed+=("$name")
}

# Files of the repository: tracked, or new and not ignored.
files() { # pathspecs…
  local file
  while IFS= read -r -d '' file; do
    [[ ! -f $file ]] || printf '%s\0' "$file"
  done < <(git ls-files -z --cached --others --exclude-standard -- "$@")
}

check_gofmt() {
  local unformatted
  unformatted=$(files '*.go' | xargs -0 -r gofmt -l)
  if [[ -n $unformatted ]]; then
    printf 'not formatted, run gofmt -w:\n%s\n' "$unformatted" >&2
    return 1
  fi
}

# Functions that neither a program nor a test reaches.
check_deadcode() {
  local dead
  dead=$("${go_tool[@]}" deadcode -test ./...) || return
  if [[ -n $dead ]]; then
    printf '%s\n' "$dead" >&2
    return 1
  fi
}

# The database is a pinned module: a check never passes because nothing was asked. The
# standard library is that of the toolchain which go.mod names, as in a release.
check_govulncheck() {
  local toolchain
  toolchain=$(sed -n 's/^toolchain //p' go.mod)
  tools/vulndb.sh &&
    GOTOOLCHAIN=$toolchain "${go_tool[@]}" govulncheck -db "file://$PWD/.tools/vulndb" ./...
}

check_shellcheck() {
  if ! command -v shellcheck >/dev/null; then
    echo "shellcheck is not installed (make tools)" >&2
    unchecked+=' (but shellcheck did not run)'
    [[ -z ${CI:-} ]]
    return
  fi
  local scripts=() file first
  while IFS= read -r -d '' file; do
    first=$(head -c 100 -- "$file" | head -n 1 | tr -d '\0')
    if [[ $file == *.sh || $file == *.bash || $file == *.bats || $first =~ ^'#!'.*(/| )(ba|da)?sh( |$) ]]; then
      scripts+=("$file")
    fi
  done < <(files)
  [[ ${#scripts[@]} -eq 0 ]] || shellcheck -- "${scripts[@]}"
}

check_yamllint() {
  local yamllint=.tools/venv-yaml/bin/yamllint
  if [[ ! -x $yamllint ]]; then
    echo "yamllint is not installed (make tools)" >&2
    unchecked+=' (but yamllint did not run)'
    [[ -z ${CI:-} ]]
    return
  fi
  "$yamllint" --strict --config-file ci/circleci-orb/.yamllint ci
}

check_templates() {
  local cfn_lint=.tools/venv-sam/bin/cfn-lint
  if [[ ! -x $cfn_lint ]]; then
    echo "cfn-lint is not installed (make tools)" >&2
    unchecked+=' (but cfn-lint did not run)'
    [[ -z ${CI:-} ]]
    return
  fi
  "$cfn_lint" -c I -t template.yaml infra/*.yaml
}

check_hadolint() {
  local hadolint=.tools/venv-hadolint/bin/hadolint
  if [[ ! -x $hadolint ]]; then
    echo "hadolint is not installed (make tools)" >&2
    unchecked+=' (but hadolint did not run)'
    [[ -z ${CI:-} ]]
    return
  fi
  "$hadolint" ci/bitbucket-pipe/Dockerfile
}

check gofmt check_gofmt
check 'go vet' go vet ./...
check staticcheck "${go_tool[@]}" staticcheck ./...
check deadcode check_deadcode
check govulncheck check_govulncheck
check shellcheck check_shellcheck
check cfn-lint check_templates
check yamllint check_yamllint
check hadolint check_hadolint

if [[ ${#failed[@]} -gt 0 ]]; then
  printf 'lint: FAILED: %s\n' "${failed[*]}" >&2
  exit 1
fi
echo "lint: ok$unchecked"
