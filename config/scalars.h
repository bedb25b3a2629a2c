#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "config/diagnostics.h"
#include "config/settings.h"
#include "policy/rules.h"

namespace egret::config {

// What a scalar's text means. Each returns nothing for any other text, and says in `why` what is
// wrong and what to write instead, as the end of a sentence that begins with the key.

// "250ms", "5s", "10m", "3d", "2h": one whole number and one unit, at most 365 days.
std::optional<Duration> parse_duration(std::string_view text, std::string& why);
// "0B", "64KiB", "1MiB", "10GiB", "1TiB": one whole number and one unit, at most 1 PiB.
std::optional<uint64_t> parse_size(std::string_view text, std::string& why);
// "20000": digits only, no sign, no leading zero.
std::optional<uint64_t> parse_count(std::string_view text, std::string& why);

// "100B/s": bytes a second.
std::optional<uint64_t> parse_byte_rate(std::string_view text, std::string& why);
// "100/s", "20/min", "none": the time between two; zero for none. At most a million a second.
std::optional<Duration> parse_rate(std::string_view text, std::string& why);
// "443": digits only, no leading zero; 0 to 65535.
std::optional<uint16_t> parse_port(std::string_view text);
// "443" or "8000-8999", from 1 to 65535.
std::optional<policy::PortRange> parse_ports(std::string_view text, std::string& why);
// "10.0.0.0/8", "2001:db8::/32", "192.0.2.1".
std::optional<policy::Prefix> parse_prefix(std::string_view text, std::string& why);
// A name server: "127.0.0.1:5353", "[::1]:53"; without a port, port 53.
std::optional<policy::Endpoint> parse_server(std::string_view text, std::string& why);
// "127.0.0.1:4750", "[::1]:0", "unix:/run/egret/egret.sock".
std::optional<ListenAddress> parse_listen_address(std::string_view text, std::string& why);

// The name of a sender or rule: letters, digits, '.', '_', '-', at most 64, the first no sign.
std::optional<std::string> parse_name(std::string_view text, std::string& why);
// "sha256/" and the base64 of 32 bytes (RFC 7469 2.1.1).
std::optional<policy::Pin> parse_pin(std::string_view text, std::string& why);
// "http://proxy.example:3128": nothing behind the port, no user before the host.
std::optional<policy::Authority> parse_parent_proxy(std::string_view text, std::string& why);
// "192.0.2.7", "2001:db8::7": an address to bind to.
std::optional<policy::Address> parse_source(std::string_view text, std::string& why);

// RFC 7617: no colon, no control byte.
std::optional<std::string> parse_username(std::string_view text, std::string& why);
// RFC 9110 section 9.1: a token; methods are case-sensitive.
std::optional<std::string> parse_method(std::string_view text, std::string& why);
// "/hooks/*": a path as requests send it, `*` for any run of bytes.
std::optional<std::string> parse_path_pattern(std::string_view text, std::string& why);
std::optional<policy::HostPattern> parse_host_pattern(std::string_view text, std::string& why);

// "2026-12-31T23:59:59Z" (RFC 3339), from 1970 to 2200.
std::optional<WallTime> parse_time(std::string_view text, std::string& why);
// "20%": 0.2, from 0 to 1.
std::optional<double> parse_percent(std::string_view text, std::string& why);
// "2", "1.5": from 1 to 10, three digits behind the point.
std::optional<double> parse_factor(std::string_view text, std::string& why);
// "204", "2xx".
std::optional<policy::StatusRange> parse_status(std::string_view text, std::string& why);
// "connect", "timeout", "reset", or a status.
struct RetryOn {
  enum class What : uint8_t { connect, timeout, reset, status } what = What::status;
  policy::StatusRange status;
};
std::optional<RetryOn> parse_retry_on(std::string_view text, std::string& why);
// The name of a field that a configuration may set or remove: none of Egret's own, and none that
// frames a message or belongs to one connection.
std::optional<std::string> parse_settable_field(std::string_view text, std::string& why);
// RFC 9421: a keyid, a tag, a label, a covered component (in lower case).
std::optional<std::string> parse_key_id(std::string_view text, std::string& why);
std::optional<std::string> parse_sf_text(std::string_view text, std::string& why);
std::optional<std::string> parse_signature_label(std::string_view text, std::string& why);
std::optional<std::string> parse_component(std::string_view text, std::string& why);

// RFC 9110 5.6.2.
bool is_token(std::string_view text);

// RFC 6750 `b64token`: what may stand behind "Bearer ".
bool is_token68(std::string_view text);

bool has_control_byte(std::string_view text);

// As a person writes it: "1m", "1500ms"; "none" for Duration::max().
std::string duration_text(Duration duration);
std::string size_text(uint64_t bytes);
std::string byte_rate_text(uint64_t bytes_a_second);

// Parsers made of parsers.

// `none` besides what `parse` takes: Duration::max().
template <typename Parse>
auto or_none(Parse parse) {
  return [parse](std::string_view text, std::string& why) -> decltype(parse(text, why)) {
    if (text == "none") return Duration::max();
    auto value = parse(text, why);
    if (!value) why += "; or write none";
    return value;
  };
}

// A quantity from `least` to `most`; `print` turns either into text.
template <typename T, typename Parse, typename Print>
auto between(T least, T most, Parse parse, Print print) {
  return [=](std::string_view text, std::string& why) -> std::optional<T> {
    const std::optional<T> value = parse(text, why);
    if (!value || (*value >= least && *value <= most)) return value;
    why = in_quotes(text) + " is out of range; from " + print(least) + " to " + print(most);
    return std::nullopt;
  };
}

}  // namespace egret::config
