#include "proxy/sandbox/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

// Newer than Debian 12's headers; the kernel's ABI says whether it knows them.
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

namespace egret::sandbox {
namespace {

// Nothing lists folders, but a sanitizer that looks for the threads to stop.
constexpr uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE;
// Appends, and makes anew after a rotation.
constexpr uint64_t kLog = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG;
// A Unix socket is bound, and a stale one replaced.
constexpr uint64_t kSocket = LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE;
// A database with its log beside it, whose folder is synced too.
constexpr uint64_t kStore = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                            LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                            LANDLOCK_ACCESS_FS_REMOVE_FILE;
constexpr uint64_t kOfAFile = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
// ABI 6: signals only to itself, abstract Unix sockets only its own.
constexpr uint64_t kScopes = (1ULL << 0) | (1ULL << 1);

// landlock_ruleset_attr as of ABI 6; an older kernel is given the part that it knows.
struct RulesetAttributes {
  uint64_t handled_access_fs = 0;
  uint64_t handled_access_net = 0;
  uint64_t scoped = 0;
};

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
  RulesetAttributes attributes;
  attributes.handled_access_fs = all_of(version);
  if (version >= 6) attributes.scoped = kScopes;
  const size_t size = version >= 6   ? sizeof attributes
                      : version >= 4 ? sizeof attributes - sizeof attributes.scoped
                                     : sizeof attributes.handled_access_fs;
  const Descriptor ruleset(syscall(SYS_landlock_create_ruleset, &attributes, size, 0));
  if (ruleset.get() < 0) return failure("landlock_create_ruleset");
  const uint64_t read = needs.sanitizers ? kRead | LANDLOCK_ACCESS_FS_READ_DIR : kRead;
  const uint64_t store = version >= 3 ? kStore | LANDLOCK_ACCESS_FS_TRUNCATE : kStore;
  for (const auto& [places, rights] : {std::pair(&needs.read, read),
                                       {&needs.logs, kLog},
                                       {&needs.stores, store},
                                       {&needs.sockets, kSocket}}) {
    for (const std::string& place : *places) {
      Result<> allowed = allow(ruleset.get(), place, rights);
      if (!allowed) return allowed;
    }
  }
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return failure("landlock_restrict_self");
  }
  return {};
}

}  // namespace egret::sandbox
