#pragma once

#include <string_view>

#include "base/result.h"
#include "proxy/http/message.h"

namespace egret::http {

// What a head's fields say about the message's length and the connection. Internal to this room.
//   A Connection names at most this many options: matching them against the fields stays cheap.
inline constexpr size_t kMaxConnectionOptions = 32;

// Calls `visit(element)` for each non-empty element of a comma-separated list (RFC 9110 5.6.1).
template <typename Visit>
void for_each_element(std::string_view list, Visit visit);

// Fills framing, keep_alive and expect_continue of a head whose fields are in place; see parser.h
// for the errors.
Result<> settle_request(RequestHead& head);
Result<> settle_response(std::string_view request_method, ResponseHead& head);

template <typename Visit>
void for_each_element(std::string_view list, Visit visit) {
  constexpr std::string_view kSpace = " \t";
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view element = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    const size_t first = element.find_first_not_of(kSpace);
    if (first == std::string_view::npos) continue;
    visit(element.substr(first, element.find_last_not_of(kSpace) - first + 1));
  }
}

}  // namespace egret::http
