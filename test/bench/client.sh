#!/usr/bin/env bash
# The client's start, as released.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
make --silent build
go run ./test/bench/client bin/gatepass bin/gatepassctl
