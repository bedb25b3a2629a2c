#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace egret::policy {

// Status codes (RFC 9110 15) from `first` to `last`, inclusive.
struct StatusRange {
  uint16_t first = 0;
  uint16_t last = 0;
  bool operator==(const StatusRange&) const = default;
  // "503", or a class, "2xx"; from 200 to 599. Nothing for any other text.
  static std::optional<StatusRange> parse(std::string_view text);
};

// A few of them.
class StatusSet {
 public:
  StatusSet() = default;
  explicit StatusSet(std::vector<StatusRange> ranges) : ranges_(std::move(ranges)) {}
  [[nodiscard]] bool contains(int status) const {
    for (const StatusRange& range : ranges_) {
      if (range.first <= status && status <= range.last) return true;
    }
    return false;
  }
  [[nodiscard]] const std::vector<StatusRange>& ranges() const { return ranges_; }
  bool operator==(const StatusSet&) const = default;

 private:
  std::vector<StatusRange> ranges_;
};

}  // namespace egret::policy
