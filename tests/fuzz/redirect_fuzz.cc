// Redirects: a Location that is followed leads where the rule lets it, never from https to http,
// and is a URL with one meaning. The first line of the input is the base URL, the rest the
// Location.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "policy/redirect.h"
#include "policy/retry.h"

namespace {

using egret::policy::Follow;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_hop(Follow follow, const egret::policy::Url& from, std::string_view location) {
  using egret::policy::Scheme;
  egret::policy::Trail trail;
  const std::string_view one[] = {location};
  const auto hop = trail.follow({follow, 3}, {308, one, "POST", from});
  check(trail.hops() == (hop && *hop ? 1U : 0U));
  if (!hop || !*hop) return;
  const egret::policy::Url& to = (*hop)->url;
  check(follow != Follow::never);
  check(!(from.scheme == Scheme::https && to.scheme == Scheme::http));
  const bool same_host = to.host == from.host;
  const bool same_origin = same_host && to.port == from.port && to.scheme == from.scheme;
  check((*hop)->same_origin == same_origin);
  check(follow == Follow::any || same_host);
  check(follow != Follow::same_origin || same_origin);
  const auto again = egret::policy::parse_url(std::string(to_string(to.scheme)) + "://" +
                                              to.host_header() + to.origin_form());
  check(again && again->host == to.host && again->port == to.port &&
        again->origin_form() == to.origin_form());
  // The way back is a loop.
  const std::string home =
      std::string(to_string(from.scheme)) + "://" + from.host_header() + from.origin_form();
  const std::string_view back[] = {home};
  check(!trail.follow({follow, 3}, {308, back, "POST", to}) || from.scheme != to.scheme ||
        follow != Follow::any);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(data, data + size);
  const size_t end = text.find('\n');
  const auto base = egret::policy::parse_url(std::string_view(text).substr(0, end));
  const std::string_view rest =
      end == std::string::npos ? std::string_view() : std::string_view(text).substr(end + 1);
  const egret::WallTime now(std::chrono::seconds(1'767'323'045));
  const auto wait = egret::policy::parse_retry_after(rest, now);
  check(!wait || (*wait >= egret::Duration::zero() && *wait <= std::chrono::hours(24 * 365)));
  if (!base) return 0;
  for (const Follow follow : {Follow::never, Follow::same_origin, Follow::same_host, Follow::any}) {
    check_hop(follow, *base, rest);
  }
  return 0;
}
