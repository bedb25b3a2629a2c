#pragma once

#include <string>

namespace egret::admin {

// What the admin listener answers.
struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string content;
  std::string fields;  // complete field lines
};

inline Response plain(int status, std::string content) {
  return {.status = status, .content = std::move(content) + "\n", .fields = {}};
}

}  // namespace egret::admin
