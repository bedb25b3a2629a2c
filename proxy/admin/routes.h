#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace egret::admin {

// Who may ask.
enum class Access : uint8_t {
  everybody,
  operators,  // with the token; where none is set, whoever addresses this machine by address
  changes,    // the same, and no web page of another origin
  secrets     // with the token, or on a Unix socket
};

enum class What : uint8_t {
  health,
  readiness,
  metrics,
  openapi,
  jwks,
  derived_secret,
  deliveries,
  delivery,
  delivery_content,
  replay_many,
  replay,
  cancel,
  endpoints,
  enable,
  disable,
  consent
};

// What the admin listener answers. GET is HEAD too.
struct Route {
  std::string_view method;
  std::string_view path;  // one segment may be a parameter: "/v1/deliveries/{id}"
  What what;
  Access access;
};
std::span<const Route> all_routes();

struct Matched {
  const Route* route = nullptr;  // null: none
  std::string parameter;         // of the path, percent-decoded
  std::string allow;             // methods of that path, when it has others
};
Matched match(std::string_view method, std::string_view path);

}  // namespace egret::admin
