#include "proxy/sandbox/sandbox.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "proxy/sandbox/landlock.h"
#include "proxy/sandbox/seccomp.h"

namespace egret::sandbox {

Result<Entered> enter(const Needs& needs) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Unexpected(Reason::internal_error,
                      std::string("PR_SET_NO_NEW_PRIVS: ") + std::strerror(errno));
  }
  Entered entered;
  entered.landlock_version = landlock_version();
  if (entered.landlock_version > 0) {
    Result<> restricted = restrict_files(needs, entered.landlock_version);
    if (!restricted) return Unexpected(std::move(restricted.error()));
  } else {
    entered.missing = std::string("files are not restricted: no Landlock (") +
                      std::strerror(errno) + "; an older kernel, or a container's profile)";
  }
  Result<int> rules = restrict_system_calls(needs);
  if (rules) {
    entered.seccomp_rules = *rules;
  } else {
    if (!entered.missing.empty()) entered.missing += "; ";
    entered.missing += "system calls are not restricted: seccomp: " + rules.error().detail +
                       " (an older kernel, or a container's profile)";
  }
  return entered;
}

bool keep_memory_private() {
  const rlimit none{0, 0};
  return setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

}  // namespace egret::sandbox
