#pragma once

#include <string_view>

#include "base/clock.h"
#include "config/settings.h"
#include "proxy/admin/response.h"

namespace egret::admin {

// /v1/keys/…: what receivers and the operator are told of the keys that sign.

// Public keys, which are everybody's.
Response jwks(const config::Settings& settings, WallTime now);
// What a receiver at `host` of the query verifies by, of a key with `derive`.
Response derived_secret(const config::Settings& settings, std::string_view name,
                        std::string_view query);

}  // namespace egret::admin
