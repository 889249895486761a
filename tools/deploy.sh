#!/usr/bin/env bash
# Builds the functions and deploys template.yaml, as samconfig.toml says. Arguments go to
# `sam deploy`, such as --guided, which the first deployment of an account wants.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

sam=$(command -v sam || true)
if [[ -z $sam ]]; then
  sam=.tools/venv-sam/bin/sam
fi
if [[ ! -x $sam ]]; then
  echo "deploy: the SAM CLI is missing: install it, or run make tools, which puts one into .tools" >&2
  exit 1
fi
# The SAM CLI does not know AWS_REGION, which gatepassctl and the AWS CLI go by.
if [[ -n ${AWS_REGION:-} ]]; then
  export AWS_DEFAULT_REGION=$AWS_REGION
fi
"$sam" build
"$sam" deploy "$@"
