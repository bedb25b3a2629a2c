// Scalars of keys and of what a rule does on the sender's behalf.
#include <algorithm>
#include <array>
#include <chrono>

#include "base/text.h"
#include "config/diagnostics.h"
#include "config/scalars.h"

namespace egret::config {
namespace {

constexpr size_t kLongestName = 128;

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7F; });
}

// One number of a time: exactly `digits` of them, then `mark`.
bool take(std::string_view& text, size_t digits, std::string_view mark, int& out) {
  if (text.size() < digits + mark.size()) return false;
  const auto value = text::parse_decimal(text.substr(0, digits));
  if (!value || text.substr(digits, mark.size()) != mark) return false;
  out = static_cast<int>(*value);
  text.remove_prefix(digits + mark.size());
  return true;
}

// Fields that Egret, HTTP's framing or the hop decide about.
bool is_egrets_own(std::string_view lower) {
  static constexpr std::array kOwn = std::to_array<std::string_view>(
      {"connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "te",
       "trailer", "transfer-encoding", "upgrade", "via", "proxy", "egret"});
  return lower.starts_with("proxy-") || lower.starts_with("egret-") ||
         std::ranges::find(kOwn, lower) != kOwn.end();
}

}  // namespace

std::optional<WallTime> parse_time(std::string_view text, std::string& why) {
  std::string_view rest = text;
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  const bool shaped = take(rest, 4, "-", year) && take(rest, 2, "-", month) &&
                      take(rest, 2, "T", day) && take(rest, 2, ":", hour) &&
                      take(rest, 2, ":", minute) && take(rest, 2, "Z", second) && rest.empty();
  const std::chrono::year_month_day date(std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  // Nanoseconds since 1970 have room for these years.
  const bool good = shaped && date.ok() && year >= 1970 && year <= 2200 && hour < 24 &&
                    minute < 60 && second < 60;
  if (good) {
    return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
           std::chrono::seconds(second);
  }
  why = in_quotes(text) + " is not a time in UTC (RFC 3339); write \"2026-12-31T23:59:59Z\"";
  return std::nullopt;
}

std::optional<double> parse_percent(std::string_view text, std::string& why) {
  const bool ends = text.ends_with('%');
  const auto value = text::parse_decimal(text.substr(0, text.size() - (ends ? 1 : 0)), 100);
  if (ends && value) return static_cast<double>(*value) / 100;
  why = in_quotes(text) + " is not a part; write 0% to 100%";
  return std::nullopt;
}

std::optional<double> parse_factor(std::string_view text, std::string& why) {
  const size_t dot = text.find('.');
  const auto whole = text::parse_decimal(text.substr(0, dot), 10);
  double value = whole ? static_cast<double>(*whole) : 0;
  bool good = whole.has_value();
  if (dot != std::string_view::npos) {
    const std::string_view digits = text.substr(dot + 1);
    const auto part = text::parse_decimal(digits, 999);
    good = good && part && digits.size() <= 3;
    double scale = 1;
    for (size_t i = 0; i < digits.size() && i < 3; ++i) scale *= 10;
    if (part) value += static_cast<double>(*part) / scale;
  }
  if (good && value >= 1 && value <= 10) return value;
  why = in_quotes(text) + " is not a factor from 1 to 10, such as 2 or 1.5";
  return std::nullopt;
}

std::optional<policy::StatusRange> parse_status(std::string_view text, std::string& why) {
  const auto range = policy::StatusRange::parse(text);
  if (!range) why = in_quotes(text) + " is no status; write 204, or a class from 2xx to 5xx";
  return range;
}

std::optional<RetryOn> parse_retry_on(std::string_view text, std::string& why) {
  using What = RetryOn::What;
  if (text == "connect") return RetryOn{What::connect, {}};
  if (text == "timeout") return RetryOn{What::timeout, {}};
  if (text == "reset") return RetryOn{What::reset, {}};
  if (const auto range = policy::StatusRange::parse(text)) return RetryOn{What::status, *range};
  why = in_quotes(text) +
        " is nothing to retry; write connect, timeout, reset, a status such as 503, or 5xx";
  return std::nullopt;
}

std::optional<std::string> parse_settable_field(std::string_view text, std::string& why) {
  if (text.size() > kLongestName || !is_token(text)) {
    why = in_quotes(text) + " is no field name (RFC 9110 5.1)";
    return std::nullopt;
  }
  if (is_egrets_own(text::to_lower(text))) {
    why = in_quotes(text) + " is Egret's to write or belongs to one connection only";
    return std::nullopt;
  }
  return std::string(text);
}

std::optional<std::string> parse_key_id(std::string_view text, std::string& why) {
  if (!text.empty() && text.size() <= kLongestName && is_printable(text)) return std::string(text);
  why = in_quotes(text) + " is no key id; printable ASCII, at most " +
        std::to_string(kLongestName) + " bytes";
  return std::nullopt;
}

std::optional<std::string> parse_sf_text(std::string_view text, std::string& why) {
  if (text.size() <= kLongestName && is_printable(text)) return std::string(text);
  why = in_quotes(text) + " is no string of RFC 8941; printable ASCII, at most " +
        std::to_string(kLongestName) + " bytes";
  return std::nullopt;
}

std::optional<std::string> parse_signature_label(std::string_view text, std::string& why) {
  const auto byte = [](char c) {
    return (c >= 'a' && c <= 'z') || text::is_digit(c) || c == '_' || c == '-' || c == '.' ||
           c == '*';
  };
  const bool begins = !text.empty() && ((text[0] >= 'a' && text[0] <= 'z') || text[0] == '*');
  if (begins && text.size() <= 64 && std::ranges::all_of(text, byte)) return std::string(text);
  why = in_quotes(text) + " is no label (RFC 8941 3.1.2); lower-case letters, digits, \"_-.*\"";
  return std::nullopt;
}

std::optional<std::string> parse_component(std::string_view text, std::string& why) {
  static constexpr std::array kDerived = std::to_array<std::string_view>(
      {"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"});
  if (text.starts_with('@')) {
    if (std::ranges::find(kDerived, text) != kDerived.end()) return std::string(text);
    why = in_quotes(text) +
          " is no component of a request that can be signed here (RFC 9421 2.2): @method, "
          "@target-uri, @authority, @scheme, @request-target, @path, @query, or a field name";
    return std::nullopt;
  }
  const std::string lower = text::to_lower(text);
  static constexpr std::array kWrittenLate = std::to_array<std::string_view>(
      {"content-length", "host", "via", "signature", "signature-input", "transfer-encoding"});
  const bool signable = is_token(text) && text.size() <= kLongestName &&
                        std::ranges::find(kWrittenLate, lower) == kWrittenLate.end();
  if (signable) return lower;
  why = in_quotes(text) +
        " is no field that can be signed here; of Host sign @authority, of the length the "
        "content-digest";
  return std::nullopt;
}

}  // namespace egret::config
