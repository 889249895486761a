#!/usr/bin/env bash
# Runs on the host, by SCRIPT.
set -euo pipefail
words=("it's" '$(not run)' "two  spaces")
printf '%s|' "${words[@]}"
[[ $0 == deploy.sh ]] && echo " hello world from $(whoami)"
