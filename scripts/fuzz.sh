#!/usr/bin/env bash
# fuzz.sh [--merge] [SECONDS_PER_TARGET=600] [TARGET…]: runs the libFuzzer targets (tests/fuzz), all or those named.
#   One line a target; findings are kept under build/fuzz/found, and any of them makes it fail.
#   New inputs are kept there too, and are where the next run begins.
#   --merge: instead, takes of them into tests/data/fuzz/<target> what reaches something new.
# Environment: JOBS (number of CPUs).
set -euo pipefail
case " $* " in *" --help "* | *" -h "*)
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
  exit 0
  ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."

merge=no
if [ "${1:-}" = --merge ]; then
  merge=yes
  shift
fi
seconds=600
if [[ "${1:-}" =~ ^[0-9]+$ ]]; then
  seconds=$1
  shift
fi
jobs=${JOBS:-$(nproc)}
export seconds merge

fuzz() {
  local name=$1 target found seeds
  target=build/fuzz/tests/fuzz/${name}_fuzz
  found=build/fuzz/found/$name
  seeds=tests/data/fuzz/$name
  mkdir -p "$found" "$seeds"
  if [ "$merge" = yes ]; then
    if ! "$target" -merge=1 "$seeds" "$found" >"$found.log" 2>&1; then
      echo "$name: the merge FAILED, the log is $found.log"
      return 1
    fi
    echo "$name: $(find "$seeds" -type f | wc -l) inputs in $seeds"
  # What is new goes to the first directory: never to the tree.
  elif "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
      -artifact_prefix="$found-" "$found" "$seeds" >"$found.log" 2>&1; then
    echo "$name: $(awk '/number_of_executed_units/ {print $2}' "$found.log") inputs, nothing found"
  else
    echo "$name: FAILED; the input is kept as $found-*, the log as $found.log"
    tail -n 40 "$found.log" >&2
    return 1
  fi
}
export -f fuzz

mapfile -t known < <(find tests/fuzz -name '*_fuzz.cc' -printf '%f\n' | sed 's/_fuzz\.cc$//' | sort)
names=("$@")
if [ ${#names[@]} -eq 0 ]; then names=("${known[@]}"); fi
for name in "${names[@]}"; do
  if [ ! -e "tests/fuzz/${name}_fuzz.cc" ]; then
    echo "fuzz.sh: no target \"$name\"; there are: ${known[*]}" >&2
    exit 2
  fi
done

./scripts/install.sh build test fuzz
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target "${names[@]/%/_fuzz}" -j "$jobs" -- --quiet

# shellcheck disable=SC2016  # the inner shell expands it
printf '%s\0' "${names[@]}" | xargs -0 -n 1 -P "$jobs" bash -c 'fuzz "$1"' fuzz
