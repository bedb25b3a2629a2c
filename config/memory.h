#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace egret::config {

// Bytes of memory that this process may use: the machine's, or less when one of its control groups
// (cgroup v2) has a `memory.max`. Never 0. Looked up once: /proc/self may be closed later.
uint64_t usable_memory();

// The smallest `memory.max` from the group that /proc/self/cgroup's text names up to the root of
// the hierarchy at `root`. Nothing when there is no limit, or no such group.
std::optional<uint64_t> group_memory(std::string_view self_cgroup, const std::string& root);

}  // namespace egret::config
