#!/usr/bin/env bash
# conformance.sh [NAME…]: Egret beside Squid, HAProxy, nginx and tinyproxy on the same hostile addresses, names and
# messages; writes docs/conformance.md. With names (egret squid haproxy nginx tinyproxy) it only says what came of
# those. Needs root; nothing leaves the network namespace it makes. About five minutes.
# Environment: EGRET, a built egret that takes part instead of the release preset's.
set -euo pipefail
if [ -n "${EGRET:-}" ]; then EGRET=$(realpath -- "$EGRET"); fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case " $* " in *" --help "* | *" -h "*)
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
  exit 0
  ;;
esac

if [ "$(id -u)" -ne 0 ]; then
  echo "conformance.sh: needs root, for a network namespace in which it is its own internet" >&2
  exit 1
fi
./scripts/install.sh conformance
if [ -z "${EGRET:-}" ]; then
  ./scripts/install.sh build
  cmake --preset release >/dev/null
  cmake --build --preset release -j "$(nproc)"
  EGRET=$PWD/build/release/egret
fi
export EGRET_BINARY=$EGRET
exec /usr/bin/python3 bench/conformance/compare.py "$@"
