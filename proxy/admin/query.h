#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace egret::admin {

// "%41" for "A"; nothing when an escape is none.
std::optional<std::string> percent_decoded(std::string_view text);

// What stands behind "?", as form-urlencoded: names to values, each once.
using Query = std::map<std::string, std::string, std::less<>>;
// Errors: header_invalid, with a sentence: a bad escape, a name twice, or one not in `known`.
Result<Query> parse_query(std::string_view text, std::initializer_list<std::string_view> known);

}  // namespace egret::admin
