// The scalars that are addresses: prefixes, name servers, places to listen.
#include <algorithm>

#include "base/text.h"
#include "config/diagnostics.h"
#include "config/scalars.h"

namespace egret::config {
namespace {

// sockaddr_un's sun_path has 108 bytes, one of them for the final NUL.
constexpr size_t kLongestUnixPath = 107;

// host:port or [v6]:port; the host is an address, never a name.
std::optional<policy::Endpoint> parse_endpoint(std::string_view text) {
  std::string_view host;
  std::string_view port;
  const bool bracketed = text.starts_with('[');
  if (bracketed) {
    const size_t close = text.find("]:");
    if (close == std::string_view::npos) return std::nullopt;
    host = text.substr(1, close - 1);
    port = text.substr(close + 2);
  } else {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  const auto address = policy::Address::parse(host);
  const auto number = parse_port(port);
  if (!address || !number || address->is_v4() == bracketed) return std::nullopt;
  return policy::Endpoint{*address, *number};
}

// What stands where a person often writes something that is no address.
std::string suggestion(std::string_view text) {
  const size_t colon = text.rfind(':');
  const std::string port(colon == std::string_view::npos ? "4750" : text.substr(colon + 1));
  const std::string_view host = text.substr(0, std::min(colon, text.size()));
  const bool number = parse_port(port).has_value();
  if (!number) return {};
  if (host.empty() || host == "*") {
    return "; every address is \"0.0.0.0:" + port + "\" or \"[::]:" + port + "\"";
  }
  if (host == "localhost") {
    return "; write \"127.0.0.1:" + port + "\" or \"[::1]:" + port + "\"";
  }
  if (const auto bare = policy::Address::parse(host); bare && !bare->is_v4()) {
    return "; IPv6 stands in brackets: \"[" + bare->to_string() + "]:" + port + "\"";
  }
  if (const auto whole = policy::Address::parse(text)) {
    return "; the port is missing: \"" + policy::Endpoint{*whole, 4750}.to_string() + "\"";
  }
  return {};
}

std::optional<ListenAddress> parse_unix(std::string_view text, std::string& why) {
  const std::string_view path = text.substr(std::string_view("unix:").size());
  if (!path.starts_with('/') || path.ends_with('/')) {
    why =
        in_quotes(text) + " is not the absolute path of a socket; write unix:/run/egret/egret.sock";
    return std::nullopt;
  }
  if (path.size() > kLongestUnixPath) {
    why = in_quotes(text) + " is too long: the path has " + std::to_string(path.size()) +
          " bytes, a Unix socket's has at most " + std::to_string(kLongestUnixPath);
    return std::nullopt;
  }
  if (path.find('\0') != std::string_view::npos) {
    why = in_quotes(text) + " has a NUL byte";
    return std::nullopt;
  }
  return ListenAddress{std::string(text), std::nullopt, std::string(path)};
}

// `base` with the bits below `length` cleared.
policy::Prefix masked(const policy::Address& base, uint8_t length) {
  std::array<uint8_t, 16> bytes = base.bytes();
  for (size_t bit = length; bit < 128; ++bit) {
    bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] & ~(0x80U >> (bit % 8)));
  }
  const policy::Address address =
      base.is_v4() ? policy::Address::v4({bytes[0], bytes[1], bytes[2], bytes[3]})
                   : policy::Address::v6(bytes);
  return {address, length};
}

}  // namespace

std::optional<policy::Prefix> parse_prefix(std::string_view text, std::string& why) {
  if (auto prefix = policy::Prefix::parse(text)) return prefix;
  const size_t slash = std::min(text.find('/'), text.size());
  const auto base = policy::Address::parse(text.substr(0, slash));
  const auto length =
      slash == text.size() ? std::nullopt : text::parse_decimal(text.substr(slash + 1));
  if (base && length && *length <= (base->is_v4() ? 32U : 128U)) {
    const std::string right = masked(*base, static_cast<uint8_t>(*length)).to_string();
    why = in_quotes(text) + " has bits below its length; did you mean " + in_quotes(right) + "?";
  } else {
    why = in_quotes(text) + " is not a network; write 10.0.0.0/8, 2001:db8::/32 or one address";
  }
  return std::nullopt;
}

std::optional<policy::Endpoint> parse_server(std::string_view text, std::string& why) {
  constexpr uint16_t kDns = 53;
  if (const auto address = policy::Address::parse(text)) return policy::Endpoint{*address, kDns};
  const auto endpoint = parse_endpoint(text);
  if (endpoint && endpoint->port != 0) return endpoint;
  why = in_quotes(text) + " is not a name server's address; write 127.0.0.1:53 or \"[::1]:53\"";
  return std::nullopt;
}

std::optional<ListenAddress> parse_listen_address(std::string_view text, std::string& why) {
  if (text.starts_with("unix:")) return parse_unix(text, why);
  if (const auto endpoint = parse_endpoint(text)) {
    return ListenAddress{std::string(text), endpoint, {}};
  }
  why = in_quotes(text) + " is not an address to listen on";
  const std::string hint = suggestion(text);
  why +=
      hint.empty() ? "; write 127.0.0.1:4750, \"[::1]:4750\" or unix:/run/egret/egret.sock" : hint;
  return std::nullopt;
}

}  // namespace egret::config
