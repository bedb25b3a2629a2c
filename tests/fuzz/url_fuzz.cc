// The URL parser: what it takes has one meaning, which is its own canonical form.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "policy/judge.h"
#include "policy/rules.h"
#include "policy/url.h"

namespace {

using egret::policy::Fragment;
using egret::policy::Host;

void check(bool holds) {
  if (!holds) std::abort();
}

// Nothing in a canonical host can end a host, start another, or be read as two.
void check_host(const Host& host) {
  check(!host.text.empty() && host.text.size() <= 253);
  check(host.literal.has_value() == egret::policy::Address::parse(host.text).has_value());
  for (const char c : host.text) {
    const bool name_byte =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    check(name_byte || (c == ':' && host.literal && !host.literal->is_v4()));
  }
  check(host.text.back() != '.' && host.text.front() != '.');
  // A name never ends in what inet_aton would take for a number.
  const auto last = host.text.substr(host.text.rfind('.') + 1);
  check(host.literal || !(last.front() >= '0' && last.front() <= '9'));
  const auto again = egret::policy::canonical_host(host.text);
  check(again && *again == host);
}

void check_url(std::string_view text) {
  const auto url = egret::policy::parse_url(text);
  const auto dropped = egret::policy::parse_url(text, Fragment::drop);
  if (!url) return;
  check(dropped && dropped->host == url->host);  // without a fragment both read the same
  check(url->port != 0 && !url->path.empty() && url->path.front() == '/');
  check(text.find('@') >= text.find_first_of("/?", 8));  // no userinfo
  check_host(url->host);
  const std::string canonical =
      std::string(to_string(url->scheme)) + "://" + url->host_header() + url->origin_form();
  const auto again = egret::policy::parse_url(canonical);
  check(again && again->host == url->host && again->port == url->port);
  check(again->origin_form() == url->origin_form() && again->scheme == url->scheme);
  const auto plain = egret::policy::normalized_path(url->path);
  check(plain.front() == '/');
  // What servers may read in two ways has no normal form.
  check(egret::policy::is_ambiguous_path(url->path) ||
        egret::policy::normalized_path(plain) == plain);
}

void check_authority(std::string_view text) {
  const auto authority = egret::policy::parse_authority(text);
  if (authority) {
    check(authority->port != 0);
    check_host(authority->host);
    const auto again = egret::policy::parse_authority(authority->to_string());
    check(again && *again == *authority);
  }
  // A Host field takes everything that CONNECT takes, and reads it the same.
  const auto field = egret::policy::parse_host_header(text);
  check(!authority || (field && *field == *authority));
  if (field) check_host(field->host);
}

void check_configured(std::string_view text) {
  if (const auto host = egret::policy::canonical_host(text)) check_host(*host);
  if (const auto pattern = egret::policy::HostPattern::parse(text)) {
    const auto again = egret::policy::HostPattern::parse(pattern->text());
    check(again && *again == *pattern);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_url(text);
  check_authority(text);
  check_configured(text);
  const auto star = text.substr(0, size / 2);
  egret::policy::path_matches(star, text.substr(size / 2));
  check(egret::policy::path_matches(text, text));  // each star takes itself
  return 0;
}
