#!/usr/bin/env bash
# lint.sh [--fix]: clang-format, shellcheck and clang-tidy over the whole tree. Not part of test.sh:
# formatting is a habit, tests/tidy_test.py holds what must never break.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
./scripts/install.sh build test lint

mapfile -t sources < <(git ls-files -- '*.h' '*.cc')
if [ "${1:-}" = --fix ]; then
  clang-format -i "${sources[@]}"
else
  clang-format --dry-run --Werror "${sources[@]}"
fi
git ls-files -z -- '*.sh' .ci/run | xargs -0 shellcheck
cmake --preset dev -DCMAKE_C_COMPILER_LAUNCHER= -DCMAKE_CXX_COMPILER_LAUNCHER= >/dev/null
git ls-files -z -- 'base/*.cc' 'policy/*.cc' 'config/*.cc' 'proxy/*.cc' |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy-16 -p build/dev --quiet
echo "lint.sh: PASSED"
