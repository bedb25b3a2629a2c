#!/usr/bin/env bash
# bench.sh: Egret side by side with what else could do its job (bench/README.md).
#   --rounds N        interleaved rounds (5)
#   --seconds S       measured seconds a proxy and round (8)
#   --connections N   idle connections (10000, or what the limit of open files allows)
#   --without NAME    leave one out: relay haproxy nginx squid egret; may be repeated
#   --output FILE     where the table goes (bench/results.md)
#   --https           a request by https beside one by http instead; takes --rounds and --seconds
#   --queue           what keeping costs instead; takes --rounds, --seconds and names of its parts
#   --micro           the Google Benchmark programs instead
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case " $* " in *" --help "* | *" -h "*)
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
  exit 0
  ;;
esac

./scripts/install.sh build bench
if [ "${1:-}" = --micro ]; then
  cmake --preset bench >/dev/null
  cmake --build --preset bench -j "$(nproc)"
  ./build/bench/bench/egret_micro_bench
  exit
fi
case " $* " in *" --without egret "* | *" --without=egret "*) ;; *)
  cmake --preset release >/dev/null
  cmake --build --preset release -j "$(nproc)"
  ;;
esac
if [ "${1:-}" = --https ]; then
  shift
  exec python3 bench/https.py "$@"
fi
if [ "${1:-}" = --queue ]; then
  shift
  exec python3 bench/queue.py "$@"
fi
exec python3 bench/side_by_side.py "$@"
