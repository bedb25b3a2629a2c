#include "proxy/queue/delivery.h"

#include <algorithm>
#include <array>
#include <utility>

namespace egret::queue {
namespace {

constexpr auto kStates = std::to_array<std::pair<std::string_view, State>>({
    {"queued", State::queued},
    {"running", State::running},
    {"delivered", State::delivered},
    {"dead", State::dead},
    {"cancelled", State::cancelled},
});

constexpr std::string_view kPrefix = "dlv_";
constexpr std::string_view kDigits = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr int kDigitBits = 5;
constexpr size_t kNumberDigits = 11;

}  // namespace

std::string delivery_id(int64_t number, std::string_view unguessable) {
  std::string id(kPrefix);
  for (size_t left = kNumberDigits; left > 0; --left) {
    const auto shift = static_cast<int>(left - 1) * kDigitBits;
    id += kDigits[static_cast<size_t>(number >> shift) % kDigits.size()];
  }
  return id.append(unguessable);
}

std::optional<int64_t> number_in(std::string_view delivery_id) {
  if (delivery_id.size() != kPrefix.size() + kNumberDigits + kUnguessable ||
      !delivery_id.starts_with(kPrefix)) {
    return std::nullopt;
  }
  int64_t number = 0;
  for (const char digit : delivery_id.substr(kPrefix.size(), kNumberDigits)) {
    const size_t value = kDigits.find(digit);
    if (value == std::string_view::npos) return std::nullopt;
    number = (number << kDigitBits) + static_cast<int64_t>(value);
  }
  return number;
}

std::string_view to_string(State state) {
  return std::ranges::find(kStates, state, &std::pair<std::string_view, State>::second)->first;
}

std::optional<State> parse_state(std::string_view word) {
  const auto found = std::ranges::find(kStates, word, &std::pair<std::string_view, State>::first);
  if (found == kStates.end()) return std::nullopt;
  return found->second;
}

}  // namespace egret::queue
