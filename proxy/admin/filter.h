#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "proxy/queue/delivery.h"

namespace egret::admin {

constexpr uint32_t kMostOfAPage = 1000;

// Which deliveries are meant: what stands behind "?". Errors: header_invalid, with a sentence. A
// parameter that is there and empty is one: an empty variable in a script does not mean all.
Result<queue::Filter> parse_filter(const std::string& query);

}  // namespace egret::admin
