#pragma once

#include <vector>

#include "policy/address.h"

namespace egret::proxy {

// Adds where a listener bound to `bound` can be reached: itself, or for a wildcard every address
// that this machine has now.
void add_own(std::vector<policy::Endpoint>& own, const policy::Endpoint& bound);

}  // namespace egret::proxy
