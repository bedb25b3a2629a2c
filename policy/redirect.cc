#include "policy/redirect.h"

#include <algorithm>

#include "base/text.h"

namespace egret::policy {
namespace {

// RFC 3986 3.1: a scheme stands before a colon that no slash, question mark or number sign
// precedes. Nothing when there is none.
std::optional<std::string_view> scheme_of(std::string_view reference) {
  const size_t colon = reference.find_first_of(":/?#");
  if (colon == std::string_view::npos || reference[colon] != ':') return std::nullopt;
  const std::string_view scheme = reference.substr(0, colon);
  if (scheme.empty() || !text::is_alpha(scheme[0])) return std::nullopt;
  const bool good = std::ranges::all_of(scheme, [](char c) {
    return text::is_alpha(c) || text::is_digit(c) || c == '+' || c == '-' || c == '.';
  });
  if (!good) return std::nullopt;
  return scheme;
}

// RFC 3986 5.2.4, for a path that begins with a slash.
std::string remove_dot_segments(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view segment = path.substr(0, end);
    path.remove_prefix(end);
    const bool last = path.empty();
    if (segment == "/.") {
      if (last) out += '/';
    } else if (segment == "/..") {
      out.resize(out.empty() ? 0 : out.rfind('/'));
      if (last) out += '/';
    } else {
      out += segment;
    }
  }
  return out.empty() ? "/" : out;
}

std::string_view before(std::string_view text, char mark) {
  return text.substr(0, text.find(mark));
}

bool changes_method(int status, std::string_view method) {
  if (method == "GET" || method == "HEAD") return false;
  return status == 301 || status == 302 || status == 303;
}

bool is_followed_status(int status) {
  return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

// What a loop is told by. The fragment is gone, and the authority canonical.
std::string visit(std::string_view method, const Url& url) {
  return std::string(method) + " " + std::string(to_string(url.scheme)) + "://" +
         url.authority().to_string() + url.origin_form();
}

bool same_origin(const Url& a, const Url& b) {
  return a.scheme == b.scheme && a.authority() == b.authority();
}

bool within(Follow follow, const Url& from, const Url& to) {
  switch (follow) {
    case Follow::never:
      return false;
    case Follow::same_origin:
      return same_origin(from, to);
    case Follow::same_host:
      return from.host == to.host;
    case Follow::any:
      return true;
  }
  return false;
}

Result<Url> parse_location(const Url& base, std::string_view location) {
  bool other_scheme = false;
  const std::optional<std::string> target = resolve_reference(base, location, other_scheme);
  if (other_scheme) {
    return Unexpected(Reason::redirect_scheme_unsupported,
                      "The redirect leads to " + text::printable(*scheme_of(location), 40) + ":.");
  }
  Result<Url> url = target ? parse_url(*target)
                           : Result<Url>(Unexpected(Reason::url_malformed, "no URL reference"));
  if (url) return url;
  return Unexpected(Reason::redirect_malformed, "The redirect's Location: " + url.error().detail);
}

}  // namespace

std::optional<std::string> resolve_reference(const Url& base, std::string_view reference,
                                             bool& other_scheme) {
  other_scheme = false;
  reference = before(reference, '#');
  if (const std::optional<std::string_view> scheme = scheme_of(reference)) {
    other_scheme =
        !text::equals_ignore_case(*scheme, "http") && !text::equals_ignore_case(*scheme, "https");
    if (other_scheme) return std::nullopt;
    return std::string(reference);
  }
  const std::string scheme(to_string(base.scheme));
  if (reference.starts_with("//")) return scheme + ":" + std::string(reference);
  const std::string origin = scheme + "://" + base.authority().to_string();
  const std::string_view path = before(reference, '?');
  const std::string_view query = reference.substr(path.size());
  if (path.empty()) {
    if (!query.empty()) return origin + base.path + std::string(query);
    return origin + base.origin_form();
  }
  // A backslash and what a browser would repair are parse_url's to refuse.
  if (path.starts_with('/')) return origin + remove_dot_segments(path) + std::string(query);
  const std::string merged = base.path.substr(0, base.path.rfind('/') + 1) + std::string(path);
  return origin + remove_dot_segments(merged) + std::string(query);
}

Result<std::optional<Hop>> Trail::follow(const Redirects& rule, const RedirectAnswer& answer) {
  const bool asked = rule.follow != Follow::never && is_followed_status(answer.status) &&
                     !changes_method(answer.status, answer.method) && !answer.locations.empty();
  if (!asked) return std::optional<Hop>();
  const bool differ = std::ranges::any_of(
      answer.locations, [&](std::string_view each) { return each != answer.locations.front(); });
  if (differ) {
    return Unexpected(Reason::redirect_malformed,
                      "The redirect has several Locations that differ.");
  }
  Result<Url> url = parse_location(answer.url, answer.locations.front());
  if (!url) return Unexpected(std::move(url.error()));
  if (!within(rule.follow, answer.url, *url)) return std::optional<Hop>();
  if (answer.url.scheme == Scheme::https && url->scheme == Scheme::http) {
    return Unexpected(Reason::redirect_downgrade,
                      "The redirect leads from https to " + url->for_log() + ".");
  }
  if (visited_.empty()) visited_.push_back(visit(answer.method, answer.url));
  std::string next = visit(answer.method, *url);
  if (std::ranges::find(visited_, next) != visited_.end()) {
    return Unexpected(Reason::redirect_loop, "The redirect leads back to " + url->for_log() +
                                                 ", which was asked already.");
  }
  if (hops_ >= rule.max) {
    return Unexpected(Reason::redirect_limit,
                      "More than " + std::to_string(rule.max) + " redirects (redirects.max).");
  }
  ++hops_;
  visited_.push_back(std::move(next));
  const bool same = same_origin(answer.url, *url);
  return std::optional<Hop>(Hop{std::move(*url), same});
}

}  // namespace egret::policy
