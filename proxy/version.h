#pragma once

#include <string_view>

namespace egret::proxy {

inline constexpr std::string_view kVersion = EGRET_VERSION;

}  // namespace egret::proxy
