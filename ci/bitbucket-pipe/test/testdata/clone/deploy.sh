#!/usr/bin/env bash
# Runs on the host, by SCRIPT.
set -euo pipefail
# shellcheck disable=SC2016 # what is in single quotes must come as it is
words=("it's" '$(not run)' "two  spaces")
printf '%s|' "${words[@]}"
[[ $0 == deploy.sh ]] && echo " hello world from $(whoami)"
