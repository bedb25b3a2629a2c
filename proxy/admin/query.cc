#include "proxy/admin/query.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace egret::admin {

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    uint8_t byte = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const char* end = text.data() + i + 3;
    const auto read = std::from_chars(text.data() + i + 1, end, byte, 16);
    if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

Result<Query> parse_query(std::string_view text, std::initializer_list<std::string_view> known) {
  Query query;
  while (!text.empty()) {
    std::string pair(text.substr(0, text.find('&')));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    if (pair.empty()) continue;
    std::replace(pair.begin(), pair.end(), '+', ' ');
    const size_t equals = std::min(pair.find('='), pair.size());
    const std::optional<std::string> name = percent_decoded(pair.substr(0, equals));
    const std::optional<std::string> value =
        percent_decoded(pair.substr(std::min(pair.size(), equals + 1)));
    if (!name || !value) return Unexpected(Reason::header_invalid, "the query has a bad % escape");
    if (std::find(known.begin(), known.end(), *name) == known.end()) {
      std::string names;
      for (const std::string_view each : known)
        names.append(names.empty() ? "" : ", ").append(each);
      return Unexpected(Reason::header_invalid,
                        text::printable(*name, 64) + " is no parameter here; there are " + names);
    }
    if (!query.emplace(*name, *value).second) {
      return Unexpected(Reason::header_invalid, *name + " is there twice");
    }
  }
  return query;
}

}  // namespace egret::admin
