#include "proxy/commands/file_watch.h"

#include <sys/stat.h>

#include <algorithm>

namespace egret::commands {

namespace {

WallTime time_of(const timespec& time) {
  return WallTime(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

}  // namespace

FileWatch::FileWatch(std::vector<std::string> files, WallTime since) {
  std::ranges::sort(files);
  const auto repeated = std::ranges::unique(files);
  files.erase(repeated.begin(), repeated.end());
  for (std::string& path : files) {
    const Stamp now = stamp_of(path);
    // Which of the two was read, nobody knows.
    files_.push_back({std::move(path), now.changed >= since ? Stamp() : now, now});
  }
}

std::string FileWatch::settled_change() {
  bool moving = false;
  for (Watched& file : files_) {
    const Stamp now = stamp_of(file.path);
    moving |= now != file.last;
    file.last = now;
  }
  std::string changed;
  if (moving) return changed;
  for (Watched& file : files_) {
    if (file.last == file.known) continue;
    file.known = file.last;
    if (changed.empty()) changed = file.path;
  }
  return changed;
}

FileWatch::Stamp FileWatch::stamp_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {.there = true,
          .device = status.st_dev,
          .inode = status.st_ino,
          .size = status.st_size,
          .modified = time_of(status.st_mtim),
          .changed = time_of(status.st_ctim)};
}

}  // namespace egret::commands
