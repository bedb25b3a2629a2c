#include "proxy/admin/filter.h"

#include <charconv>

#include "proxy/admin/query.h"
#include "proxy/admin/words.h"

namespace egret::admin {
namespace {

template <typename Number>
bool parse_number(const std::string& written, Number& out) {
  const char* end = written.data() + written.size();
  const auto read = std::from_chars(written.data(), end, out);
  return read.ec == std::errc() && read.ptr == end && !written.empty();
}

// What is wrong with it, or empty.
std::string take(const std::string& name, const std::string& value, queue::Filter& filter) {
  if (name == "status") {
    filter.state = queue::parse_state(value);
    return filter.state ? "" : "status is queued, running, delivered, dead or cancelled";
  }
  if (name == "host") {
    Result<std::string> host = parse_host_name(value);
    if (!host) return host.error().detail;
    filter.host = std::move(*host);
    return {};
  }
  if (name == "sender") {
    filter.sender = value;
    return value.empty() ? "sender is empty; leave it out to mean all" : "";
  }
  if (name == "since") {
    filter.since = parse_rfc3339(value);
    return filter.since ? "" : "since is a time from 1970 to 2200, such as 2026-12-31T23:59:59Z";
  }
  if (name == "limit") {
    const bool good =
        parse_number(value, filter.limit) && filter.limit >= 1 && filter.limit <= kMostOfAPage;
    return good ? "" : "limit is a number from 1 to 1000";
  }
  const bool good = parse_number(value, filter.before) && filter.before >= 0;
  return good ? "" : "cursor is what the page before gave as next";
}

}  // namespace

Result<queue::Filter> parse_filter(const std::string& query) {
  Result<Query> parsed =
      parse_query(query, {"status", "host", "sender", "since", "limit", "cursor"});
  if (!parsed) return Unexpected(std::move(parsed.error()));
  queue::Filter filter;
  for (const auto& [name, value] : *parsed) {
    std::string wrong = take(name, value, filter);
    if (!wrong.empty()) return Unexpected(Reason::header_invalid, std::move(wrong));
  }
  return filter;
}

}  // namespace egret::admin
