#include "config/scalars.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "config/diagnostics.h"

namespace egret::config {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

constexpr std::array kDurations = std::to_array<Unit>(
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}});
constexpr uint64_t kLongestMilliseconds = 365ULL * 86'400'000;

constexpr std::array kSizes = std::to_array<Unit>(
    {{"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40}});
constexpr uint64_t kLargestSize = 1ULL << 50;

// What a quantity is called and looks like, for its errors.
struct Kind {
  std::string_view noun;      // "a duration"
  std::string_view examples;  // "250ms, 5s, 10m, 2h or 3d"
  std::string_view longest;
};
constexpr Kind kDuration = {"a duration", "250ms, 5s, 10m, 2h or 3d", "365d"};
constexpr Kind kSize = {"a size", "512B, 64KiB, 1MiB or 10GiB", "1024TiB"};

std::string not_a(const Kind& kind, std::string_view text) {
  return in_quotes(text) + " is not " + std::string(kind.noun) + "; write " +
         std::string(kind.examples);
}

template <size_t N>
std::optional<uint64_t> parse_quantity(std::string_view text, const std::array<Unit, N>& units,
                                       const Kind& kind, uint64_t most, std::string& why) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view number = text.substr(0, digits);
  const std::string_view name = text.substr(digits);
  if (!number.empty() && name.empty()) {
    why = in_quotes(text) + " has no unit; write " + std::string(kind.examples);
    return std::nullopt;
  }
  const auto unit = std::find_if(units.begin(), units.end(),
                                 [&](const Unit& known) { return known.name == name; });
  if (number.empty() || unit == units.end()) {
    why = not_a(kind, text);
    return std::nullopt;
  }
  const auto value = text::parse_decimal(number);
  if (!value || *value > most / unit->factor) {
    why = in_quotes(text) + " is more than " + std::string(kind.longest);
    return std::nullopt;
  }
  return *value * unit->factor;
}

template <size_t N>
std::string quantity_text(uint64_t value, const std::array<Unit, N>& units) {
  const Unit* best = units.data();
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) best = &unit;
  }
  return std::to_string(value / best->factor) + std::string(best->name);
}

bool is_token_byte(char c) {  // RFC 9110 5.6.2 tchar
  return text::is_alpha(c) || text::is_digit(c) ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_byte);
}

std::optional<Duration> parse_duration(std::string_view text, std::string& why) {
  const auto value = parse_quantity(text, kDurations, kDuration, kLongestMilliseconds, why);
  if (!value) return std::nullopt;
  return std::chrono::milliseconds(static_cast<int64_t>(*value));
}

std::optional<uint64_t> parse_size(std::string_view text, std::string& why) {
  return parse_quantity(text, kSizes, kSize, kLargestSize, why);
}

std::optional<uint64_t> parse_byte_rate(std::string_view text, std::string& why) {
  const std::string_view suffix = "/s";
  if (!text.ends_with(suffix)) {
    why = in_quotes(text) + " is not a rate; write 100B/s or 1KiB/s";
    return std::nullopt;
  }
  return parse_size(text.substr(0, text.size() - suffix.size()), why);
}

std::optional<Duration> parse_rate(std::string_view text, std::string& why) {
  if (text == "none") return Duration::zero();
  Duration time = std::chrono::seconds(1);
  std::string_view number = text.substr(0, text.find('/'));
  if (text.ends_with("/min")) {
    time = std::chrono::minutes(1);
  } else if (!text.ends_with("/s")) {
    number = {};
  }
  const std::optional<uint64_t> count = text::parse_decimal(number, 1'000'000);
  const bool good = count && *count > 0 && !number.starts_with('0') &&
                    number.size() + (time == std::chrono::minutes(1) ? 4 : 2) == text.size();
  if (good) return time / static_cast<int64_t>(*count);
  why = in_quotes(text) + " is not a rate; write 100/s, 20/min or none";
  return std::nullopt;
}

std::optional<uint64_t> parse_count(std::string_view text, std::string& why) {
  const bool padded = text.size() > 1 && text.front() == '0';
  const auto value = text::parse_decimal(text);
  if (!value || padded) {
    why = in_quotes(text) + " is not a whole number";
    return std::nullopt;
  }
  return value;
}

std::optional<uint16_t> parse_port(std::string_view text) {
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  const auto value = text::parse_decimal(text, 65535);
  if (!value) return std::nullopt;
  return static_cast<uint16_t>(*value);
}

std::optional<policy::PortRange> parse_ports(std::string_view text, std::string& why) {
  const size_t dash = std::min(text.find('-'), text.size());
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == text.size() ? first : parse_port(text.substr(dash + 1));
  if (!first || !last || *first == 0 || *last == 0) {
    why = in_quotes(text) + " is not a port; write 443, or a range such as 8000-8999";
    return std::nullopt;
  }
  if (*first > *last) {
    why = in_quotes(text) + " ends before it begins";
    return std::nullopt;
  }
  return policy::PortRange{*first, *last};
}

std::optional<std::string> parse_name(std::string_view text, std::string& why) {
  const bool good =
      !text.empty() && text.size() <= 64 &&
      (text::is_alpha(text.front()) || text::is_digit(text.front())) &&
      std::all_of(text.begin(), text.end(), [](char c) {
        return text::is_alpha(c) || text::is_digit(c) || c == '.' || c == '_' || c == '-';
      });
  if (good) return std::string(text);
  why = in_quotes(text) +
        " is not a name; use up to 64 letters, digits, \".\", \"_\" and \"-\", a letter or digit "
        "first";
  return std::nullopt;
}

std::optional<std::string> parse_username(std::string_view text, std::string& why) {
  const bool good =
      !text.empty() && text.size() <= 256 && std::all_of(text.begin(), text.end(), [](char c) {
        return c != ':' && static_cast<unsigned char>(c) >= 0x20 && c != 0x7F;
      });
  if (good) return std::string(text);
  // Not quoted: people write user:password here.
  why =
      "Proxy-Authorization: Basic cannot carry this name; it has 1 to 256 bytes, no \":\" and no "
      "control byte";
  return std::nullopt;
}

std::optional<std::string> parse_method(std::string_view text, std::string& why) {
  static constexpr std::array<std::string_view, 9> kKnown = {
      "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"};
  const bool token =
      !text.empty() && text.size() <= 32 && std::all_of(text.begin(), text.end(), is_token_byte);
  const auto same = std::find_if(kKnown.begin(), kKnown.end(), [&](std::string_view known) {
    return text::equals_ignore_case(known, text);
  });
  if (token && (same == kKnown.end() || *same == text)) return std::string(text);
  why = in_quotes(text) +
        (token ? " is in lower case; methods are case-sensitive: write " + std::string(*same)
               : std::string(" is not an HTTP method"));
  return std::nullopt;
}

std::optional<std::string> parse_path_pattern(std::string_view text, std::string& why) {
  const bool begins = text.starts_with('/') || text == "*";
  const bool clean = text.size() <= 4096 && std::all_of(text.begin(), text.end(), [](char c) {
                       return c > 0x20 && c < 0x7F && c != '?' && c != '#' && c != '\\';
                     });
  if (begins && clean) {
    // Paths are compared in their normal form: a pattern in another form would match nothing.
    if (policy::is_ambiguous_path(text)) {
      why =
          in_quotes(text) + " matches no path: what has //, %2f, %5c, %00 or a stray % is refused";
      return std::nullopt;
    }
    const std::string normal = text == "*" ? "*" : policy::normalized_path(text);
    if (normal == text) return normal;
    why = in_quotes(text) + " matches no path as it is spelt; write " + normal;
    return std::nullopt;
  }
  why = in_quotes(text) +
        (begins ? " has a byte that no path has; a query is not part of it, others are sent as %XX"
                : " is not a path; it begins with \"/\", such as \"/hooks/*\"");
  return std::nullopt;
}

std::optional<policy::HostPattern> parse_host_pattern(std::string_view text, std::string& why) {
  Result<policy::HostPattern> pattern = policy::HostPattern::parse(text);
  if (pattern) return std::move(pattern).value();
  if (text.find('/') != std::string_view::npos) {
    why = in_quotes(text) + " is not a host pattern; write the host alone, without scheme or path";
    return std::nullopt;
  }
  // A sentence of its own becomes the end of ours.
  std::string detail = text::printable(pattern.error().detail);
  if (detail.ends_with('.')) detail.pop_back();
  why = in_quotes(text) + " is not a host pattern" + (detail.empty() ? "" : ": " + detail) +
        "; write example.com, *.example.com or *";
  return std::nullopt;
}

bool is_token68(std::string_view text) {
  const size_t padding = std::min(text.find('='), text.size());
  const auto is_letter = [](char c) {
    return text::is_alpha(c) || text::is_digit(c) ||
           std::string_view("-._~+/").find(c) != std::string_view::npos;
  };
  return padding > 0 &&
         std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(padding),
                     is_letter) &&
         text.find_first_not_of('=', padding) == std::string_view::npos;
}

bool has_control_byte(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

std::string duration_text(Duration duration) {
  if (duration == Duration::max()) return "none";
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(duration);
  return quantity_text(static_cast<uint64_t>(milliseconds.count()), kDurations);
}

std::string byte_rate_text(uint64_t bytes_a_second) { return size_text(bytes_a_second) + "/s"; }
std::string size_text(uint64_t bytes) { return quantity_text(bytes, kSizes); }

}  // namespace egret::config
