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

}  // namespace

std::string_view to_string(State state) {
  return std::ranges::find(kStates, state, &std::pair<std::string_view, State>::second)->first;
}

std::optional<State> parse_state(std::string_view word) {
  const auto found = std::ranges::find(kStates, word, &std::pair<std::string_view, State>::first);
  if (found == kStates.end()) return std::nullopt;
  return found->second;
}

}  // namespace egret::queue
