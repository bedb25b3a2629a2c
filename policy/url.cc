#include "policy/url.h"

#include <idn2.h>

#include <algorithm>
#include <memory>

#include "base/text.h"

namespace egret::policy {
namespace {

constexpr size_t kMaxName = 253;  // RFC 1035 2.3.4, without the root's own length octet
constexpr size_t kMaxLabel = 63;

Unexpected malformed(std::string_view what) {
  return Unexpected(Reason::url_malformed, std::string(what));
}

Unexpected not_canonical(std::string_view host, std::string_view why) {
  return Unexpected(Reason::host_not_canonical,
                    "The host \"" + text::printable(host) + "\" " + std::string(why) + ".");
}

bool is_name_byte(char c) { return text::is_alpha(c) || text::is_digit(c) || c == '-' || c == '_'; }

using IdnText = std::unique_ptr<char, decltype(&idn2_free)>;

// To A-labels; null when IDNA2008 has no such name.
IdnText idn_lookup(const char* utf8) {
  char* out = nullptr;
  const int flags = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL;
  if (idn2_to_ascii_8z(utf8, &out, flags) != IDN2_OK) out = nullptr;
  return {out, &idn2_free};
}

// True when the A-label names letters that would be written as this A-label again. Others are read
// differently by different libraries, or hide plain ASCII.
bool round_trips(const std::string& a_label) {
  char* decoded = nullptr;
  if (idn2_to_unicode_8z8z(a_label.c_str(), &decoded, 0) != IDN2_OK) return false;
  const IdnText unicode(decoded, &idn2_free);
  const IdnText again = idn_lookup(unicode.get());
  return again && a_label == again.get() && a_label != unicode.get();
}

// Why `label`, in lower case, is not a label of a DNS name; empty when it is.
std::string_view label_fault(std::string_view label) {
  if (label.empty()) return "has an empty label";
  if (label.size() > kMaxLabel) return "has a label of more than 63 bytes";
  if (!std::all_of(label.begin(), label.end(), is_name_byte)) {
    return "holds a byte that no host name has";
  }
  if (label.front() == '-' || label.back() == '-') return "has a label that ends in a hyphen";
  if (label.starts_with("xn--") && !round_trips(std::string(label))) {
    return "has an A-label (xn--) that is not valid IDNA2008";
  }
  return {};
}

// A name from `written`, which is not an IP literal.
Result<Host> parse_name(std::string_view written) {
  std::string_view name = written;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.size() > kMaxName) return not_canonical(written, "is longer than 253 bytes");
  std::string canonical = text::to_lower(name);
  std::string_view rest = canonical;
  std::string_view last;
  while (true) {
    const auto dot = rest.find('.');
    last = rest.substr(0, dot);
    const auto fault = label_fault(last);
    if (!fault.empty()) return not_canonical(written, fault);
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (text::is_digit(last.front())) {
    return not_canonical(written,
                         "ends in a number and is not an IPv4 address in dotted decimal; programs "
                         "disagree about what it means");
  }
  return Host{std::move(canonical), std::nullopt};
}

Host literal_host(const Address& address) { return {address.to_string(), address}; }

// `text` is what stands between "[" and "]".
Result<Host> parse_bracketed(std::string_view text) {
  const auto address = Address::parse(text);
  if (!address || address->is_v4()) {
    const std::string written = "[" + std::string(text) + "]";
    if (text.find('%') != std::string_view::npos) {
      return not_canonical(written, "has a zone id, which means nothing outside one machine");
    }
    return not_canonical(written, "has brackets around something that is not an IPv6 address");
  }
  return literal_host(*address);
}

Result<Host> parse_host(std::string_view text) {
  if (text.find('%') != std::string_view::npos) {
    return not_canonical(text, "has a %-escape, which no host name needs");
  }
  if (const auto address = Address::parse(text); address && address->is_v4()) {
    return literal_host(*address);
  }
  return parse_name(text);
}

struct ParsedAuthority {
  Host host;
  std::string_view port;  // as written, without the colon; may be empty
};

Result<ParsedAuthority> split_authority(std::string_view text) {
  if (text.find('@') != std::string_view::npos) {
    return malformed("The authority has userinfo (\"@\"), which RFC 9110 4.2.4 forbids.");
  }
  std::string_view after;
  Result<Host> host;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return not_canonical(text, "has an unclosed bracket");
    host = parse_bracketed(text.substr(1, close - 1));
    after = text.substr(close + 1);
    if (!after.empty() && after.front() != ':') {
      return not_canonical(text, "has text after its bracket");
    }
  } else {
    const auto colon = text.find(':');
    if (colon != std::string_view::npos) after = text.substr(colon);
    if (after.find(':', 1) != std::string_view::npos) {
      return not_canonical(text, "has more than one colon; an IPv6 address stands in brackets");
    }
    if (text.empty() || colon == 0) return malformed("The URL has no host.");
    host = parse_host(text.substr(0, colon));
  }
  if (!host) return Unexpected(std::move(host).error());
  if (!after.empty()) after.remove_prefix(1);
  return ParsedAuthority{std::move(*host), after};
}

Result<uint16_t> parse_port(std::string_view digits) {
  const auto port = text::parse_decimal(digits, UINT16_MAX);
  if (!port || *port == 0 || digits.front() == '0') {
    // Not quoted: behind a colon a password may stand, cut off by its own "/", "?" or "#".
    return malformed("The port is not a number from 1 to 65535.");
  }
  return static_cast<uint16_t>(*port);
}

// Bytes that may stand nowhere in a URL on the wire (RFC 3986 2).
bool is_url_byte(char c) { return c > ' ' && c < 0x7F; }

// Backslash is a slash to some parsers and text to others, up to where the query begins: behind
// that no parser looks for a host or a path any more, and senders do write it there.
Result<> check_bytes(std::string_view text) {
  const auto* bad = std::find_if_not(text.begin(), text.end(), is_url_byte);
  const auto backslash = text.substr(0, text.find('?')).find('\\');
  if (backslash != std::string_view::npos) bad = text.begin() + backslash;
  if (bad == text.end()) return {};
  static constexpr char kHex[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(*bad);
  return malformed(std::string("The URL has the byte 0x") + kHex[byte >> 4] + kHex[byte & 15] +
                   ", which a URL can only hold %-escaped.");
}

std::optional<Scheme> take_scheme(std::string_view& text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto name = text.substr(0, colon);
  const bool http = text::equals_ignore_case(name, "http");
  if (!http && !text::equals_ignore_case(name, "https")) return std::nullopt;
  text.remove_prefix(colon + 1);
  return http ? Scheme::http : Scheme::https;
}

Result<Authority> with_port(ParsedAuthority parsed, uint16_t if_empty) {
  if (parsed.port.empty()) return Authority{std::move(parsed.host), if_empty};
  const auto port = parse_port(parsed.port);
  if (!port) return Unexpected(port.error());
  return Authority{std::move(parsed.host), *port};
}

}  // namespace

std::string_view to_string(Scheme scheme) { return scheme == Scheme::http ? "http" : "https"; }

std::string Host::to_authority() const {
  return literal && !literal->is_v4() ? "[" + text + "]" : text;
}

std::string Authority::to_string() const {
  return host.to_authority() + ":" + std::to_string(port);
}

std::string Url::origin_form() const { return has_query ? path + "?" + query : path; }

std::string Url::host_header() const {
  return port == default_port(scheme) ? host.to_authority() : authority().to_string();
}

std::string Url::for_log() const {
  constexpr size_t kRest = 8 + 2 + 6;  // scheme, brackets, port
  std::string out;
  out.reserve(kRest + host.text.size() + path.size());
  out.append(to_string(scheme)).append("://", 3);
  const bool bracketed = host.literal && !host.literal->is_v4();
  if (bracketed) out += '[';
  out.append(host.text);
  if (bracketed) out += ']';
  if (port != default_port(scheme)) out.append(1, ':').append(std::to_string(port));
  return out.append(path);
}

Result<Url> parse_url(std::string_view text, Fragment fragment) {
  const auto bytes = check_bytes(text);
  if (!bytes) return Unexpected(bytes.error());
  const auto scheme = take_scheme(text);
  if (!scheme) return malformed("The URL does not begin with http:// or https://.");
  if (!text.starts_with("//")) return malformed("The URL's scheme is not followed by \"//\".");
  text.remove_prefix(2);

  if (const auto hash = text.find('#'); hash != std::string_view::npos) {
    if (fragment == Fragment::refuse) {
      return malformed("The URL has a fragment (\"#\"), which is never sent (RFC 9112 3.2.2).");
    }
    text = text.substr(0, hash);
  }
  const auto* const authority_end =
      std::find_if(text.begin(), text.end(), [](char c) { return c == '/' || c == '?'; });
  const auto end = static_cast<size_t>(authority_end - text.begin());
  auto parsed = split_authority(text.substr(0, end));
  if (!parsed) return Unexpected(std::move(parsed).error());
  auto authority = with_port(std::move(*parsed), default_port(*scheme));
  if (!authority) return Unexpected(std::move(authority).error());

  Url url;
  url.scheme = *scheme;
  url.host = std::move(authority->host);
  url.port = authority->port;
  text.remove_prefix(end);
  const auto question = text.find('?');
  url.has_query = question != std::string_view::npos;
  if (url.has_query) url.query = text.substr(question + 1);
  url.path = text.substr(0, question);
  if (url.path.empty()) url.path = "/";
  return url;
}

Result<Authority> parse_authority(std::string_view text) {
  const auto bytes = check_bytes(text);
  if (!bytes) return Unexpected(bytes.error());
  if (text.find_first_of("/?#") != std::string_view::npos) {
    return malformed("CONNECT takes host:port and nothing else (RFC 9112 3.2.3).");
  }
  auto parsed = split_authority(text);
  if (!parsed) return Unexpected(std::move(parsed).error());
  if (parsed->port.empty()) return malformed("CONNECT needs a port: host:port.");
  return with_port(std::move(*parsed), 0);
}

Result<Authority> parse_host_header(std::string_view text) {
  const auto bytes = check_bytes(text);
  if (!bytes) return Unexpected(bytes.error());
  auto parsed = split_authority(text);
  if (!parsed) return Unexpected(std::move(parsed).error());
  return with_port(std::move(*parsed), 0);
}

Result<Host> canonical_host(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) {
    return parse_bracketed(text.substr(1, text.size() - 2));
  }
  if (const auto address = Address::parse(text)) return literal_host(*address);
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(text.begin(), text.end(), is_ascii)) return parse_host(text);
  if (text.find('\0') != std::string_view::npos) {
    return not_canonical(text, "holds a byte that no host name has");
  }
  const IdnText ascii = idn_lookup(std::string(text).c_str());
  if (!ascii) return not_canonical(text, "has letters that IDNA2008 does not allow");
  return parse_name(ascii.get());
}

}  // namespace egret::policy
