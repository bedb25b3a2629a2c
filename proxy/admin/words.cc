#include "proxy/admin/words.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <time.h>

#include <algorithm>

#include "base/text.h"
#include "policy/url.h"

namespace egret::admin {
namespace {

constexpr int kFirstYear = 1970;
constexpr int kLastYear = 2200;  // nanoseconds of 64 bits end in 2262

// The host of "hooks.example:443" and of a URL; empty when it is neither.
std::string host_within(std::string_view written) {
  if (const Result<policy::Url> url = policy::parse_url(written, policy::Fragment::drop)) {
    return url->host.text;
  }
  const size_t colon = written.rfind(':');
  if (colon == std::string_view::npos) return {};
  const std::string_view port = written.substr(colon + 1);
  if (!std::all_of(port.begin(), port.end(), text::is_digit)) return {};
  const Result<policy::Host> host = policy::canonical_host(written.substr(0, colon));
  return host ? host->text : std::string();
}

}  // namespace

std::string to_rfc3339(WallTime time) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(static_cast<std::time_t>(ms / 1000)), ms % 1000);
}

std::optional<WallTime> parse_rfc3339(const std::string& written) {
  struct tm parts {};
  const char* rest = strptime(written.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  if (*rest == '.') {
    do ++rest;
    while (text::is_digit(*rest));
  }
  if (std::string_view(rest) != "Z") return std::nullopt;
  const int year = parts.tm_year + 1900;
  if (year < kFirstYear || year > kLastYear) return std::nullopt;
  const int day = parts.tm_mday;
  const std::time_t seconds = timegm(&parts);
  if (parts.tm_mday != day) return std::nullopt;  // no month has that day, or a leap second
  return WallTime(std::chrono::seconds(seconds));
}

Result<std::string> parse_host_name(std::string_view written) {
  const Result<policy::Host> host = policy::canonical_host(written);
  if (host) return host->text;
  const std::string within = host_within(written);
  if (within.empty()) return Unexpected(Reason::header_invalid, "host: " + host.error().detail);
  return Unexpected(Reason::header_invalid,
                    "host: write the host alone, without a port: " + within);
}

}  // namespace egret::admin
