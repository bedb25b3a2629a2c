#!/usr/bin/env bash
# test.sh: everything that must hold before a change is merged, from a clean clone on a bare Debian.
#   1. AddressSanitizer + UBSan build, every test, end to end included
#   2. ThreadSanitizer build, the tests labelled `threads`
#   3. each libFuzzer target for FUZZ_SECONDS (60)
# Environment: JOBS (number of CPUs), FUZZ_SECONDS (60; 0 leaves the fuzzers out).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

jobs=${JOBS:-$(nproc)}
fuzz_seconds=${FUZZ_SECONDS:-60}
started=$SECONDS
step="starting"
finish() {
  local status=$?
  local took="$(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s"
  if [ $status -eq 0 ]; then
    echo "test.sh: PASSED in $took"
  else
    echo "test.sh: FAILED while $step, after $took"
  fi
}
trap finish EXIT
begin() {
  step=$1
  printf '\n== %s\n' "$step"
}

# Runs one libFuzzer target, NAME_fuzz, on its seeds in tests/data/fuzz/NAME; what it finds goes to
# the build tree.
fuzz() {
  local target=$1 name seeds=() found
  name=$(basename "$target" _fuzz)
  found=build/fuzz/found/$name
  mkdir -p "$found"
  if [ -d "tests/data/fuzz/$name" ]; then seeds=("tests/data/fuzz/$name"); fi
  if "$target" -max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
      -artifact_prefix="$found-" "$found" "${seeds[@]}" >"$found.log" 2>&1; then
    echo "$name: $(awk '/number_of_executed_units/ {print $2}' "$found.log") inputs, nothing found"
  else
    echo "$name: FAILED; the input is kept as $found-*"
    tail -n 40 "$found.log"
    return 1
  fi
}

begin "installing Debian packages"
groups=(build demo test)
if [ "$fuzz_seconds" -gt 0 ]; then groups+=(fuzz); fi
./scripts/install.sh "${groups[@]}"

begin "building with AddressSanitizer and UBSan"
cmake --preset asan >/dev/null
cmake --build --preset asan -j "$jobs"

begin "running every test under AddressSanitizer and UBSan"
ctest --preset asan -j "$jobs"

begin "building with ThreadSanitizer"
cmake --preset tsan >/dev/null
cmake --build --preset tsan -j "$jobs"

begin "running the tests with threads under ThreadSanitizer"
ctest --preset tsan -j "$jobs" --no-tests=error

if [ "$fuzz_seconds" -gt 0 ]; then
  begin "building the fuzzers"
  cmake --preset fuzz >/dev/null
  cmake --build --preset fuzz --target tests/fuzz/all -j "$jobs"

  begin "fuzzing, $fuzz_seconds s a target, $jobs at a time"
  mapfile -t targets < <(find build/fuzz/tests/fuzz -maxdepth 1 -type f -executable -name '*_fuzz' | sort)
  if [ ${#targets[@]} -eq 0 ]; then
    echo "no fuzz target was built"
    exit 1
  fi
  export fuzz_seconds
  export -f fuzz
  # shellcheck disable=SC2016  # the inner shell expands it
  printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$jobs" bash -c 'fuzz "$1"' fuzz
fi
