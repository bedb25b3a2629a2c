#pragma once

#include <optional>
#include <string>

namespace egret::config {

// The whole of a file of at most `most` bytes, or nothing and one sentence in `error`.
std::optional<std::string> read_whole(const std::string& path, size_t most, std::string& error);

}  // namespace egret::config
