#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/address.h"

namespace egret::policy {

enum class Scheme : uint8_t { http, https };
std::string_view to_string(Scheme scheme);
constexpr uint16_t default_port(Scheme scheme) { return scheme == Scheme::http ? 80 : 443; }

// A host in its one canonical form: an IP literal, or a lower-case ASCII name (A-labels) without
// the trailing dot. Raw text travels no further than the parser that made this.
struct Host {
  std::string text;                // "hooks.example.com", "192.0.2.1", "2001:db8::1" (no brackets)
  std::optional<Address> literal;  // set when the host is an address
  // As an authority spells it: IPv6 in brackets.
  [[nodiscard]] std::string to_authority() const;
  bool operator==(const Host&) const = default;
};

struct Authority {
  Host host;
  uint16_t port = 0;
  [[nodiscard]] std::string to_string() const;  // always with the port
  bool operator==(const Authority&) const = default;
};

struct Url {
  Scheme scheme = Scheme::http;
  Host host;
  uint16_t port = 0;  // never 0 once parsed
  std::string path;   // "/…" as sent; "/" when the URL had none
  std::string query;  // without "?"; see has_query
  bool has_query = false;
  // What follows the request method in origin-form (RFC 9112 3.2.1): path and query, no fragment.
  [[nodiscard]] std::string origin_form() const;
  // For the Host header (RFC 9110 7.2): the port only when it is not the scheme's default.
  [[nodiscard]] std::string host_header() const;
  // Without query and userinfo: what a log may show.
  [[nodiscard]] std::string for_log() const;
  [[nodiscard]] Authority authority() const { return {host, port}; }
};

// Parses an absolute http or https URL (RFC 3986, RFC 9110 4.2). The one parser.
//   `fragment`: refused in a request-target (RFC 9112 3.2.2) or, for a URL that a person typed
//   (`egret explain`), dropped.
//   Path and query are opaque: as sent, escapes and dot segments untouched.
//   Port: "host:" means the scheme's default (RFC 9110 4.2.1); a leading zero is refused, since
//   no sender writes one.
// Errors:
//   url_malformed       not absolute, other scheme, no host, userinfo, bad port, space, control or
//                       non-ASCII byte, backslash before the query, fragment where it is not
//                       allowed
//   host_not_canonical  a host with no single meaning: numbers that are not a strict dotted quad,
//                       %-escapes, zone id, brackets around anything but IPv6, empty or over-long
//                       label, over-long name, a hyphen at a label's end, letters no DNS name has,
//                       invalid A-label.
//                       A name whose last label begins with a digit is such a number: every
//                       top-level domain begins with a letter (RFC 1123 2.1), and inet_aton, the
//                       WHATWG parser and c-ares each read `0x7f.1`, `010.0.0.1`, `1.2.3.4.` or
//                       `127.0x1` in their own way.
//   One trailing dot is dropped from a name; `_` is taken as a letter (SRV, DKIM and sloppy hosts).
enum class Fragment : uint8_t { refuse, drop };
Result<Url> parse_url(std::string_view text, Fragment fragment = Fragment::refuse);

// Parses CONNECT's authority-form, `host:port` and nothing else; the port is required and not
// empty (RFC 9110 9.3.6). Errors as parse_url.
Result<Authority> parse_authority(std::string_view text);

// Parses a Host field value: host, and a port when there is one (0 otherwise, and for "host:").
// Errors as parse_url.
Result<Authority> parse_host_header(std::string_view text);

// Canonicalises a host from a configuration file, where U-labels are welcome (IDNA2008, UTS 46
// non-transitional by libidn2) and an IPv6 address may stand with or without brackets. Letters
// that map to an IP address are not one. Errors: host_not_canonical.
Result<Host> canonical_host(std::string_view text);

}  // namespace egret::policy
