#include <algorithm>
#include <map>
#include <vector>

#include "base/text.h"
#include "tests/support/proxy_corpus.h"

namespace egret::test {
namespace {

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return text::is_digit(c) || text::is_alpha(c) || kMarks.find(c) != std::string_view::npos;
  });
}

bool is_request_line(std::string_view line) {
  const size_t target = line.find(' ');
  const size_t version = line.rfind(' ');
  if (target == std::string_view::npos || version <= target + 1) return false;
  const std::string_view wanted = line.substr(version + 1);
  return is_token(line.substr(0, target)) && (wanted == "HTTP/1.1" || wanted == "HTTP/1.0") &&
         std::ranges::all_of(line.substr(target + 1, version - target - 1),
                             [](char c) { return c > ' ' && c <= '~'; });
}

bool is_control(char c) { return (static_cast<uint8_t>(c) < 0x20 && c != '\t') || c == 0x7f; }

// `values` is complete. What the fields together may not say.
std::string ambiguous_fields(std::map<std::string, std::vector<std::string>>& values) {
  const auto& lengths = values["content-length"];
  const auto& codings = values["transfer-encoding"];
  if (lengths.size() + codings.size() > 1) return "two framings";
  for (const std::string& each : lengths) {
    if (each.empty() || !std::ranges::all_of(each, text::is_digit)) return "length " + each;
  }
  for (const std::string& each : codings) {
    if (each != "chunked") return "coding " + each;
  }
  if (values["host"].size() != 1) return "not one Host";
  for (const char* name : {"proxy-authorization", "proxy-connection", "proxy-authenticate",
                           "keep-alive", "te", "upgrade"}) {
    if (values.contains(name)) return std::string(name) + " was passed on";
  }
  return {};
}

}  // namespace

std::string ambiguity(std::string_view head) {
  std::map<std::string, std::vector<std::string>> values;
  for (bool first = true; !head.starts_with("\r\n"); first = false) {
    const size_t size = head.find("\r\n");
    if (size == std::string_view::npos) return "no end";
    const std::string_view line = head.substr(0, size);
    head.remove_prefix(size + 2);
    if (std::ranges::any_of(line, is_control)) return "a control byte";
    if (first) {
      if (!is_request_line(line)) return "request line " + std::string(line);
      continue;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
      return "field " + std::string(line);
    }
    values[text::to_lower(line.substr(0, colon))].emplace_back(text::trim(line.substr(colon + 1)));
  }
  return ambiguous_fields(values);
}

}  // namespace egret::test
