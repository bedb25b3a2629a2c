#include "proxy/http/message.h"

#include <algorithm>

#include "base/text.h"

namespace egret::http {

const Field* Fields::find(std::string_view name) const {
  for (const Field& field : all()) {
    if (text::equals_ignore_case(field.name, name)) return &field;
  }
  return nullptr;
}

size_t Fields::count(std::string_view name) const {
  return static_cast<size_t>(std::ranges::count_if(
      all(), [name](const Field& field) { return text::equals_ignore_case(field.name, name); }));
}

}  // namespace egret::http
