#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace egret::commands {

// FileWatch sees that files have changed, by looking: also through links that are swapped, as
// Kubernetes does with mounted secrets, and on file systems that tell nobody. One thread.
class FileWatch {
 public:
  // Files that were read at `since` or later, and are as they were read unless they have changed
  // since then: that counts as a change too.
  FileWatch(std::vector<std::string> files, WallTime since);
  // One look. The path of a file that has changed since, once no file of them is changing any more
  // between two looks: who writes a pair of files has a moment. Each change is told once. Empty:
  // nothing has.
  std::string settled_change();

 private:
  struct Stamp {
    bool there = false;
    dev_t device = 0;
    ino_t inode = 0;
    int64_t size = 0;
    WallTime modified{};
    WallTime changed{};  // its inode too: a file that was renamed into its place
    bool operator==(const Stamp&) const = default;
  };
  struct Watched {
    std::string path;
    Stamp known;  // as it was read
    Stamp last;   // at the last look
  };
  static Stamp stamp_of(const std::string& path);
  std::vector<Watched> files_;
};

}  // namespace egret::commands
