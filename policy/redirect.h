#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "policy/url.h"

namespace egret::policy {

// Where redirects are followed to (RFC 9110 15.4). The origin is scheme, host and port
// (RFC 9110 4.3.1).
enum class Follow : uint8_t { never, same_origin, same_host, any };

struct Redirects {
  Follow follow = Follow::never;
  uint32_t max = 3;  // hops of one request
  bool operator==(const Redirects&) const = default;
};

// A redirect that is followed: the next URL, for the same method and content.
struct Hop {
  Url url;
  bool same_origin = false;  // as the URL before: credentials may go along
};

// An answer with a status of 3xx, and what it answers.
struct RedirectAnswer {
  int status = 0;
  std::span<const std::string_view> locations;  // the values of all its Location fields
  std::string_view method;
  const Url& url;
};

// Trail is the way that one request has gone so far.
class Trail {
 public:
  // The hop that `answer` leads to under `rule`; nothing when it is the sender's answer: the rule
  // does not follow it (never, or it leads out of same-origin or same-host), it has no Location, it
  // is none of 301, 302, 303, 307 and 308, or following it would change the method: 301, 302 and
  // 303 are followed for GET and HEAD only, so that a POST never silently becomes a GET.
  //   A relative reference is resolved (RFC 3986 5.2), a fragment dropped (RFC 9110 10.2.2).
  // Errors, of rules that follow: redirect_malformed (no URL, userinfo, several different ones),
  //   redirect_scheme_unsupported (neither http nor https), redirect_downgrade (https to http),
  //   redirect_loop (method and URL have been asked for already), redirect_limit (over rule.max).
  // A hop that it returns is counted.
  Result<std::optional<Hop>> follow(const Redirects& rule, const RedirectAnswer& answer);
  [[nodiscard]] uint32_t hops() const { return hops_; }

 private:
  std::vector<std::string> visited_;
  uint32_t hops_ = 0;
};

// Resolves a URI reference against `base` (RFC 3986 5.2) into the text of an absolute URL, for
// parse_url: dot segments of a relative path are removed. Nothing when it names a scheme of its own
// that is not http or https, which `other_scheme` then tells.
std::optional<std::string> resolve_reference(const Url& base, std::string_view reference,
                                             bool& other_scheme);

}  // namespace egret::policy
