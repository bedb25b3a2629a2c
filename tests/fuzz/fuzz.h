#pragma once

#include <cstdio>
#include <cstdlib>

// An invariant of a fuzz target. Not assert: it must hold in every build.
#define EGRET_FUZZ_CHECK(condition)                                                       \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)
