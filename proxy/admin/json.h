#pragma once

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "proxy/admin/response.h"

namespace egret::admin {

inline nlohmann::ordered_json only(const char* key, const nlohmann::ordered_json& value) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  json[key] = value;
  return json;
}

// What is not UTF-8, as an answer's first bytes need not be, is replaced.
inline Response as_json(const nlohmann::ordered_json& json) {
  using Json = nlohmann::ordered_json;
  return {.status = 200,
          .content_type = "application/json",
          .content = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
          .fields = {}};
}

inline Response failed(const Failure& failure) {
  return plain(status(failure.reason), failure.detail);
}

inline Response no_queue() { return plain(404, "nothing is kept: the configuration has no queue"); }

}  // namespace egret::admin
