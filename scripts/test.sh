#!/usr/bin/env bash
# test.sh: everything that must hold before a change is merged, from a clean clone on a bare Debian.
#   1. AddressSanitizer + UBSan build, every test, end to end included
#   2. ThreadSanitizer build, the tests in which threads meet again
#   3. each libFuzzer target for FUZZ_SECONDS (20), by scripts/fuzz.sh; left out, and said so, when the rest has taken
#      more than FUZZ_BEFORE (30) minutes: a slow machine replays the corpora only, which step 1 does
# Environment: JOBS (number of CPUs), FUZZ_SECONDS (20; 0 leaves the fuzzers out), FUZZ_BEFORE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

jobs=${JOBS:-$(nproc)}
fuzz_seconds=${FUZZ_SECONDS:-20}
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

begin "installing Debian packages"
groups=(build demo test)
if [ "$fuzz_seconds" -gt 0 ]; then groups+=(fuzz); fi
./scripts/install.sh "${groups[@]}"

begin "building with AddressSanitizer and UBSan"
cmake --preset asan >/dev/null
cmake --build --preset asan -j "$jobs"

begin "running every test under AddressSanitizer and UBSan"
ctest --preset asan -j "$((jobs + 1))"  # some of them only wait

begin "building with ThreadSanitizer"
cmake --preset tsan >/dev/null
cmake --build --preset tsan -j "$jobs"

begin "running the tests of threads under ThreadSanitizer"
ctest --preset tsan -j "$((jobs + 1))" --no-tests=error

if [ "$fuzz_seconds" -gt 0 ] && [ $((SECONDS - started)) -gt $((${FUZZ_BEFORE:-30} * 60)) ]; then
  begin "fuzzing is LEFT OUT: the rest took over ${FUZZ_BEFORE:-30} minutes; run ./scripts/fuzz.sh"
elif [ "$fuzz_seconds" -gt 0 ]; then
  begin "fuzzing, $fuzz_seconds s a target, $jobs at a time"
  JOBS=$jobs ./scripts/fuzz.sh "$fuzz_seconds"
fi
