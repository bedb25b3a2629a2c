#include "proxy/sandbox/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

// Newer than Debian 12's headers; the kernel's ABI says whether it knows them.
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

namespace egret::sandbox {
namespace {

constexpr uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kWrite = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                            LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                            LANDLOCK_ACCESS_FS_TRUNCATE;

constexpr uint64_t kOfAFile =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;

// Every right that this version of Landlock can take away (linux/landlock.h).
uint64_t all_of(int version) {
  uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  if (version >= 2) all |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= 3) all |= LANDLOCK_ACCESS_FS_TRUNCATE;
  if (version >= 5) all |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
  return all;
}

class Descriptor {
 public:
  explicit Descriptor(long fd) : fd_(static_cast<int>(fd)) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Unexpected failure(const char* what) {
  return Unexpected(Reason::internal_error, std::string(what) + ": " + std::strerror(errno));
}

Result<> allow(int ruleset, const std::string& path, uint64_t rights) {
  const Descriptor below(open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat status {};
  if (below.get() < 0 || fstat(below.get(), &status) != 0) return {};
  if (!S_ISDIR(status.st_mode)) rights &= kOfAFile;
  landlock_path_beneath_attr rule{};
  rule.allowed_access = rights;
  rule.parent_fd = below.get();
  if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0) return {};
  // A pipe or a socket is in no folder: Landlock does not judge it.
  if (errno == EBADFD) return {};
  return failure(path.c_str());
}

}  // namespace

int landlock_version() {
  const long version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version > 0 ? static_cast<int>(version) : 0;
}

Result<> restrict_files(const Needs& needs, int version) {
  const uint64_t all = all_of(version);
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = all;
  const Descriptor ruleset(
      syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0));
  if (ruleset.get() < 0) return failure("landlock_create_ruleset");
  for (const std::string& folder : needs.read) {
    Result<> allowed = allow(ruleset.get(), folder, kRead);
    if (!allowed) return allowed;
  }
  for (const std::string& folder : needs.write) {
    Result<> allowed = allow(ruleset.get(), folder, (kRead | kWrite) & all);
    if (!allowed) return allowed;
  }
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return failure("landlock_restrict_self");
  }
  return {};
}

}  // namespace egret::sandbox
