#include "config/memory.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/text.h"
#include "config/files.h"

namespace egret::config {
namespace {

constexpr uint64_t kUnknown = uint64_t{512} << 20;  // a machine that does not say
constexpr size_t kMostText = 64 * 1024;

std::optional<uint64_t> limit_of(const std::filesystem::path& group) {
  std::string error;
  const auto text = read_whole((group / "memory.max").string(), kMostText, error);
  if (!text) return std::nullopt;
  const std::string_view digits = text::trim(std::string_view(*text).substr(0, text->find('\n')));
  uint64_t bytes = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), bytes);
  if (parsed.ec != std::errc() || bytes == 0) return std::nullopt;  // "max"
  return bytes;
}

uint64_t look_up() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page = sysconf(_SC_PAGESIZE);
  uint64_t memory =
      pages > 0 && page > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(page) : kUnknown;
  std::string error;
  if (const auto self = read_whole("/proc/self/cgroup", kMostText, error)) {
    if (const auto limit = group_memory(*self, "/sys/fs/cgroup")) memory = std::min(memory, *limit);
  }
  return memory;
}

}  // namespace

std::optional<uint64_t> group_memory(std::string_view self_cgroup, const std::string& root) {
  // cgroup v2's line is "0::/path"; with v1 only, there is none.
  const size_t line = self_cgroup.starts_with("0::") ? 0 : self_cgroup.find("\n0::");
  if (line == std::string_view::npos) return std::nullopt;
  std::string_view path = self_cgroup.substr(self_cgroup.find("0::", line) + 3);
  path = path.substr(0, path.find('\n'));
  if (path.find("..") != std::string_view::npos) path = "/";  // outside of what is mounted here
  std::optional<uint64_t> least;
  std::filesystem::path group = root + std::string(path);
  while (group.string().size() >= root.size()) {
    if (const auto limit = limit_of(group)) least = std::min(least.value_or(*limit), *limit);
    if (group == group.parent_path()) break;
    group = group.parent_path();
  }
  return least;
}

uint64_t usable_memory() {
  static const uint64_t memory = look_up();
  return memory;
}

}  // namespace egret::config
