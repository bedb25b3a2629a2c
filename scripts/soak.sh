#!/usr/bin/env bash
# soak.sh [REQUESTS]: 2,000,000 requests, a tenth of them with a hostile peer, and nothing grows (bench/README.md).
#   EGRET=path uses that program instead of building one.
set -euo pipefail
if [ -n "${EGRET:-}" ]; then EGRET=$(realpath -- "$EGRET"); fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
./scripts/install.sh build soak
if [ -z "${EGRET:-}" ]; then
  cmake --preset release >/dev/null
  cmake --build --preset release -j "$(nproc)"
  EGRET=$PWD/build/release/egret
fi
EGRET_BINARY=$EGRET python3 bench/soak.py "${1:-2000000}"
