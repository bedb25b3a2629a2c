// The scalars of a rule's way to its destination: pins, parent proxies, source addresses.
#include <algorithm>

#include "base/text.h"
#include "config/diagnostics.h"
#include "config/scalars.h"

namespace egret::config {
namespace {

constexpr std::string_view kPinPrefix = "sha256/";
constexpr size_t kPinLetters = 44;  // base64 of 32 bytes, the last letter a "="

// 0 to 63, or nothing for what is no letter of base64 (RFC 4648 section 4).
std::optional<uint32_t> base64_value(char c) {
  static constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const size_t found = kLetters.find(c);
  if (found == std::string_view::npos) return std::nullopt;
  return static_cast<uint32_t>(found);
}

std::optional<policy::Pin> decode_pin(std::string_view letters) {
  if (letters.size() != kPinLetters || !letters.ends_with('=')) return std::nullopt;
  policy::Pin pin{};
  uint32_t bits = 0;
  size_t count = 0;
  size_t filled = 0;
  for (const char c : letters.substr(0, kPinLetters - 1)) {
    const std::optional<uint32_t> value = base64_value(c);
    if (!value) return std::nullopt;
    bits = (bits << 6) | *value;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    pin[filled++] = static_cast<uint8_t>(bits >> count);
    bits &= (1U << count) - 1;
  }
  if (bits != 0) return std::nullopt;  // another spelling of the same bytes
  return pin;
}

// host:port or [v6]:port.
std::optional<policy::Authority> parse_host_and_port(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const std::string_view host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (!bracketed && host.find(':') != std::string_view::npos) return std::nullopt;
  Result<policy::Host> canonical = policy::canonical_host(host);
  const std::optional<uint16_t> port = parse_port(text.substr(colon + 1));
  if (!canonical || !port || *port == 0) return std::nullopt;
  return policy::Authority{std::move(canonical).value(), *port};
}

}  // namespace

std::optional<policy::Pin> parse_pin(std::string_view text, std::string& why) {
  if (text.starts_with(kPinPrefix)) {
    if (const auto pin = decode_pin(text.substr(kPinPrefix.size()))) return pin;
  }
  why = in_quotes(text) +
        " is not a pin; write sha256/ and the base64 of the SHA-256 of a public key "
        "(SubjectPublicKeyInfo), 44 letters with the \"=\"";
  return std::nullopt;
}

std::optional<policy::Authority> parse_parent_proxy(std::string_view text, std::string& why) {
  // Never quoted before it is known to have no password in it.
  if (text.find('@') != std::string_view::npos) {
    why = "no user stands in the URL; write username and password: {file: path} beside it";
    return std::nullopt;
  }
  constexpr std::string_view kHttp = "http://";
  const bool http = text::equals_ignore_case(text.substr(0, kHttp.size()), kHttp);
  if (!http) {
    why = in_quotes(text) +
          " is not an http URL; Egret speaks to a parent proxy without TLS: write "
          "http://proxy.example:3128";
    return std::nullopt;
  }
  const std::string_view rest = text.substr(kHttp.size());
  if (rest.find_first_of("/?#") != std::string_view::npos) {
    why = in_quotes(text) + " has something behind the port; write http://proxy.example:3128";
    return std::nullopt;
  }
  if (auto proxy = parse_host_and_port(rest)) return proxy;
  why = in_quotes(text) + " has no host and port; write http://proxy.example:3128";
  return std::nullopt;
}

std::optional<policy::Address> parse_source(std::string_view text, std::string& why) {
  const std::optional<policy::Address> address = policy::Address::parse(text);
  const bool any = address && std::all_of(address->bytes().begin(), address->bytes().end(),
                                          [](uint8_t byte) { return byte == 0; });
  if (address && !any) return address;
  why = in_quotes(text) + (any ? " is no address of this machine; leave the key out, or write none"
                               : " is not an address; write 192.0.2.7, 2001:db8::7 or none");
  return std::nullopt;
}

}  // namespace egret::config
