#include "base/reason.h"

#include <array>

namespace egret {
namespace {

constexpr auto kReasons = std::to_array<ReasonInfo>({
#define X(name, status, token, title) {Reason::name, #name, status, token, title},
    EGRET_REASONS(X)
#undef X
});

}  // namespace

std::span<const ReasonInfo> all_reasons() { return kReasons; }

const ReasonInfo& info(Reason reason) { return kReasons[static_cast<size_t>(reason)]; }

std::string_view refusal_word(Reason reason) {
  switch (reason) {
    case Reason::name_not_found:
    case Reason::name_has_no_address:
    case Reason::dns_error:
    case Reason::dns_timeout:
      return "unresolved";
    default:
      return status(reason) == 400 ? "malformed" : "denied";
  }
}

}  // namespace egret
