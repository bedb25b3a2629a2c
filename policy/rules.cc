#include "policy/rules.h"

#include <algorithm>

#include "base/text.h"

namespace egret::policy {
namespace {

// A path segment that is "." or "..": the number of dots, else 0.
size_t dots_of(std::string_view segment) { return segment == "." ? 1 : segment == ".." ? 2 : 0; }

constexpr int hex_value(char c) { return text::is_digit(c) ? c - '0' : text::lower(c) - 'a' + 10; }

// %-escapes of unreserved characters are those characters (RFC 3986 2.3, 6.2.2.2).
std::string without_needless_escapes(std::string_view path) {
  std::string out;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '%' && i + 2 < path.size() && text::is_hex(path[i + 1]) &&
        text::is_hex(path[i + 2])) {
      const char c = static_cast<char>(hex_value(path[i + 1]) * 16 + hex_value(path[i + 2]));
      const bool unreserved = text::is_alpha(c) || text::is_digit(c) ||
                              std::string_view("-._~").find(c) != std::string_view::npos;
      if (unreserved) {
        out += c;
        i += 2;
        continue;
      }
    }
    out += path[i];
  }
  return out;
}

}  // namespace

Result<HostPattern> HostPattern::parse(std::string_view text) {
  HostPattern pattern;
  if (text == "*") return pattern;
  pattern.kind_ = text.starts_with("*.") ? Kind::below : Kind::exact;
  if (pattern.kind_ == Kind::below) text.remove_prefix(2);
  auto host = canonical_host(text);
  if (!host) return Unexpected(std::move(host).error());
  if (pattern.kind_ == Kind::below && host->literal) {
    return Unexpected(Reason::host_not_canonical,
                      "Nothing is below the IP address " + host->text + "; names have domains.");
  }
  pattern.text_ = (pattern.kind_ == Kind::below ? "*." : "") + host->text;
  return pattern;
}

bool HostPattern::matches(std::string_view canonical_host) const {
  if (kind_ == Kind::any) return true;
  if (kind_ == Kind::exact) return canonical_host == text_;
  const auto suffix = std::string_view(text_).substr(1);  // ".example.com"
  return canonical_host.size() > suffix.size() && canonical_host.ends_with(suffix);
}

// Each literal run between stars is taken at its first place: a later one can only leave less for
// the rest, so nothing is ever tried twice.
bool path_matches(std::string_view pattern, std::string_view path) {
  auto star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == path;
  if (!path.starts_with(pattern.substr(0, star))) return false;
  path.remove_prefix(star);
  pattern.remove_prefix(star + 1);
  while ((star = pattern.find('*')) != std::string_view::npos) {
    const auto at = path.find(pattern.substr(0, star));
    if (at == std::string_view::npos) return false;
    path.remove_prefix(at + star);
    pattern.remove_prefix(star + 1);
  }
  return path.ends_with(pattern);
}

bool is_ambiguous_path(std::string_view path) {
  if (path.find("//") != std::string_view::npos) return true;
  for (size_t at = path.find('%'); at != std::string_view::npos; at = path.find('%', at + 1)) {
    const std::string_view escape = path.substr(at + 1, 2);
    if (escape.size() < 2 || !text::is_hex(escape[0]) || !text::is_hex(escape[1])) return true;
    for (const std::string_view bad : {"2f", "5c", "00"}) {
      if (text::equals_ignore_case(escape, bad)) return true;
    }
  }
  return false;
}

std::string normalized_path(std::string_view written) {
  const std::string unescaped = without_needless_escapes(written);
  std::string_view path = unescaped;
  std::string out;
  while (!path.empty()) {
    path.remove_prefix(path.front() == '/' ? 1 : 0);
    const auto slash = path.find('/');
    const auto segment = path.substr(0, slash);
    const size_t dots = dots_of(segment);
    if (dots == 2) out.erase(out.rfind('/') == std::string::npos ? 0 : out.rfind('/'));
    if (dots == 0) out.append("/").append(segment);
    const bool last = slash == std::string_view::npos;
    if (last && dots > 0) out += '/';
    path = last ? std::string_view() : path.substr(slash);
  }
  return out;
}

bool Match::matches_everything() const {
  const auto any = [](const HostPattern& pattern) { return !pattern.names_hosts(); };
  const bool every_host = hosts.empty() || std::any_of(hosts.begin(), hosts.end(), any);
  return every_host && senders.empty() && ports.empty() && methods.empty() && paths.empty();
}

}  // namespace egret::policy
