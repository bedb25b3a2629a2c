#include "policy/status_set.h"

#include "base/text.h"

namespace egret::policy {

std::optional<StatusRange> StatusRange::parse(std::string_view text) {
  if (text.size() != 3 || text[0] < '2' || text[0] > '5') return std::nullopt;
  const auto hundreds = static_cast<uint16_t>((text[0] - '0') * 100);
  if (text.substr(1) == "xx") {
    return StatusRange{hundreds, static_cast<uint16_t>(hundreds + 99)};
  }
  const std::optional<uint64_t> status = text::parse_decimal(text, 599);
  if (!status) return std::nullopt;
  return StatusRange{static_cast<uint16_t>(*status), static_cast<uint16_t>(*status)};
}

}  // namespace egret::policy
