#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace egret::commands {

inline constexpr mode_t kOwnersOnly = 0600;
inline constexpr mode_t kEverybodyReads = 0644;

// Writes a new file with these bytes, on stable storage when it returns; empty, or one sentence why
// not. Nothing is overwritten, links are not followed, and half a file is not left behind.
std::string write_new(const std::string& path, std::string_view bytes, mode_t mode);

}  // namespace egret::commands
