#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/proxy_simulation_stage.h"

namespace egret::test::sim {

struct Outcome {
  std::vector<std::string> violations;  // of the invariants; none is good
  std::vector<std::string> trace;       // what happened, and every access-log line
  size_t requests = 0;
  size_t dials = 0;
};

// Plays one whole life of a gateway in memory: configuration, DNS, destinations, senders, what goes
// wrong and in which order it happens are all thrown by dice of that seed. The same seed is the
// same life. docs/design/0006-simulation.md says which invariants are watched.
Outcome simulate(uint64_t seed, Sabotage sabotage = Sabotage::none);

}  // namespace egret::test::sim
