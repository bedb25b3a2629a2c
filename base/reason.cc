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

}  // namespace egret
