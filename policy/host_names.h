#pragma once

#include <string_view>

#include "policy/url.h"

namespace egret::policy {

enum class NameKind : uint8_t {
  ordinary,        // a public DNS name, an IP literal, or localhost
  single_label,    // "redis": meant for a hosts file or a search domain
  special_use,     // "printer.local", "api.internal": not in the public DNS
  cloud_metadata,  // "metadata.google.internal"
};

// What a host's name says before any resolver is asked. `entry` is the name or domain that decided,
// `source` who reserved it. `*.test` is ordinary: it is there to be used in tests.
struct NameFinding {
  NameKind kind = NameKind::ordinary;
  std::string_view entry;
  std::string_view source;
};
NameFinding classify_name(const Host& host);

// `localhost` or below it (RFC 6761 6.3).
bool is_localhost(const Host& host);

}  // namespace egret::policy
