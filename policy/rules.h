#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"
#include "policy/address_registry.h"
#include "policy/breaker.h"
#include "policy/consent.h"
#include "policy/delivery.h"
#include "policy/redirect.h"
#include "policy/retry.h"
#include "policy/status_set.h"
#include "policy/url.h"
#include "policy/way.h"

namespace egret::policy {

struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;  // inclusive
  [[nodiscard]] bool contains(uint16_t port) const { return first <= port && port <= last; }
  bool operator==(const PortRange&) const = default;
};

// `example.com` exactly; `*.example.com` any depth below, not itself; `*`.
class HostPattern {
 public:
  // `text` as written in the configuration. Errors: host_not_canonical.
  static Result<HostPattern> parse(std::string_view text);
  [[nodiscard]] bool matches(std::string_view canonical_host) const;
  // False for `*`, true for a pattern that names a host or a domain.
  [[nodiscard]] bool names_hosts() const { return kind_ != Kind::any; }
  [[nodiscard]] const std::string& text() const { return text_; }
  bool operator==(const HostPattern&) const = default;

 private:
  enum class Kind : uint8_t { exact, below, any };
  Kind kind_ = Kind::any;
  std::string text_ = "*";  // canonical; "*.example.com" keeps its star
};

// `/hooks/*`: `*` stands for any run of bytes, `/` too; everything else for itself. No
// backtracking: at most pattern × path steps.
bool path_matches(std::string_view pattern, std::string_view path);

// The path that rules are matched against, as the destination will read it: %-escapes of unreserved
// characters decoded (RFC 3986 6.2.2.2), dot segments removed (5.2.4): `/hooks/%2e./admin` is not
// below `/hooks/`. What is forwarded stays as it was sent.
std::string normalized_path(std::string_view path);
// True when servers differ about where a path leads: an empty segment, which some merge; an escaped
// slash, backslash or NUL; a `%` that is no escape.
bool is_ambiguous_path(std::string_view path);

// What a request must be for a rule to apply. An empty list matches everything. CONNECT has no
// path, so a rule with `paths` never takes it, and one with `methods` only if it lists CONNECT.
struct Match {
  std::vector<std::string> senders;
  std::vector<HostPattern> hosts;
  std::vector<PortRange> ports;
  std::vector<std::string> methods;
  std::vector<std::string> paths;
  [[nodiscard]] bool matches_everything() const;
  bool operator==(const Match&) const = default;
};

enum class Action : uint8_t { allow, deny };
enum class ConnectMode : uint8_t { tunnel, intercept, deny };

// What becomes of an http URL.
enum class SchemeMode : uint8_t {
  as_sent,    //
  https,      // Egret uses TLS; port 80 becomes 443
  https_only  // refused
};

// Which server name the ClientHello in a tunnel may have.
enum class TunnelSni : uint8_t { any, match };

// Durations after which a phase is given up. `none` in the YAML is Duration::max().
struct Timeouts {
  Duration resolve = std::chrono::seconds(5);
  Duration connect = std::chrono::seconds(5);    // over all addresses of one attempt
  Duration tls = std::chrono::seconds(5);        // each handshake, the parent proxy's answer
  Duration response = std::chrono::seconds(15);  // request sent → the answer's final head
  Duration idle = std::chrono::seconds(10);      // the longest gap between two bytes, each way;
                                                 // and how long a kept connection may stay unused
  Duration total = std::chrono::seconds(20);     // head read → last byte of the answer
  Duration tunnel = std::chrono::minutes(10);    // a tunnel's whole life
  bool operator==(const Timeouts&) const = default;
};

// What becomes of an answer with more content than limits.response_body.
enum class Oversize : uint8_t {
  truncate,  // its status counts, and its content is passed on up to the limit
  fail       // response_body_too_large
};

struct Limits {
  uint64_t request_body = 1 << 20;     // bytes of content, without chunk framing
  uint64_t response_body = 128 << 10;  // bytes of content
  Oversize oversize = Oversize::truncate;
  uint64_t headers = 32 << 10;       // bytes of a head, start line included, each way
  uint64_t min_rate = 100;           // bytes a second of content, each way; 0: any
  uint32_t in_flight_per_host = 64;  // exchanges and tunnels of one scheme, host and port
  bool operator==(const Limits&) const = default;
};

// A field that is set on every request of a rule. Its value may be an API key.
struct HeaderValue {
  std::string name;
  Secret value;
  bool operator==(const HeaderValue&) const = default;
};

// What is done to the sender's fields, first remove, then set, before the request is signed.
struct HeaderRules {
  std::vector<HeaderValue> set;     // replaces the sender's fields of that name
  std::vector<std::string> remove;  // names in lower case
  bool operator==(const HeaderRules&) const = default;
};

// The policy that a rule, or the defaults, gives to the requests it takes.
struct Rule {
  std::string name;  // "defaults" for the rule that applies when none matches
  Match match;
  Action action = Action::allow;
  AddressPolicy addresses;
  std::vector<PortRange> ports = {{80, 80}, {443, 443}};
  std::vector<std::string> methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
  SchemeMode scheme = SchemeMode::as_sent;
  ConnectMode connect = ConnectMode::tunnel;
  TunnelSni tunnel_sni = TunnelSni::any;
  Way way;
  Timeouts timeouts;
  Limits limits;
  Redirects redirects;
  HeaderRules headers;
  std::vector<std::string> sign;  // names of keys
  StatusSet success{{{200, 299}}};
  Retry retry;
  Delivery delivery;
  Breaker breaker;
  Disable disable;
  Rate rate;
  Consent consent;
  bool operator==(const Rule&) const = default;
};

}  // namespace egret::policy
