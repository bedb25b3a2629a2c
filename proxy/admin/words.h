#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace egret::admin {

// How the API writes and reads times and hosts.

// UTC, to the millisecond: "2026-12-31T23:59:59.000Z".
std::string to_rfc3339(WallTime time);
// "2026-12-31T23:59:59Z", with or without a fraction, which is passed over. Nothing when it is no
// such time, or none from 1970 to 2200.
std::optional<WallTime> parse_rfc3339(const std::string& written);

// A host in its canonical form, as deliveries and endpoints have it. Errors: header_invalid, with a
// sentence: none, or more than a host.
Result<std::string> parse_host_name(std::string_view written);

}  // namespace egret::admin
