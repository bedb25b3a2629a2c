#!/usr/bin/env bash
# demo.sh: builds Egret and shows it at work with its built-in defaults. Needs Debian; installs what is missing.
# Everything runs in a network namespace of its own, in which public and private addresses can be played without a
# packet leaving this machine; it ends with the script and takes everything in it along.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

./scripts/install.sh build demo
if [ -z "${EGRET:-}" ]; then
  echo "Building Egret (build/release)…"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if ! { cmake --preset release && cmake --build --preset release -j "$(nproc)"; } >"$log" 2>&1; then
    tail -n 40 "$log"
    exit 1
  fi
  EGRET=build/release/egret
fi
EGRET=$(realpath "$EGRET")
export EGRET

# Root makes the namespace itself; anybody else may where user namespaces are allowed.
enter=(unshare --net --mount --pid --fork --kill-child)
if [ "$(id -u)" -ne 0 ]; then enter=(unshare --user --map-root-user "${enter[@]:1}"); fi
if "${enter[@]}" true 2>/dev/null; then
  "${enter[@]}" ./scripts/demo/acts.sh
elif sudo --non-interactive true 2>/dev/null; then
  sudo --preserve-env=EGRET unshare --net --mount --pid --fork --kill-child ./scripts/demo/acts.sh
else
  echo "demo.sh: may not make a network namespace here. Run it as root, or in a container with --privileged." >&2
  exit 1
fi
