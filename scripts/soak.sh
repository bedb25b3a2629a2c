#!/usr/bin/env bash
# soak.sh [REQUESTS]: 2,000,000 requests, a tenth of them with a hostile peer, and nothing grows (bench/README.md).
#   The result is printed and kept in bench/soak.txt.
#   EGRET=path uses that program instead of building one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
./scripts/install.sh build bench
if [ -z "${EGRET:-}" ]; then
  cmake --preset release >/dev/null
  cmake --build --preset release -j "$(nproc)"
  EGRET=$PWD/build/release/egret
fi
EGRET_BINARY=$EGRET python3 bench/soak.py "${1:-2000000}" | tee bench/soak.txt
