#pragma once

#include <string_view>

#include "base/clock.h"
#include "config/settings.h"
#include "proxy/admin/response.h"

namespace egret::admin {

// /v1/keys/…: what receivers and the operator are told of the keys that sign.

// True for a path that is answered here.
bool is_about_keys(std::string_view path);

// GET /v1/keys/jwks.json: public keys, which are everybody's.
// GET /v1/keys/{name}/derived?host=h: what a receiver at `host` verifies by, of a key with
// `derive`.
//   A secret, so only when `private_way`: the request had the token, or came by a Unix socket.
Response about_keys(const config::Settings& settings, std::string_view path, std::string_view query,
                    bool private_way, WallTime now);

}  // namespace egret::admin
