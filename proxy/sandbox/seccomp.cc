#include "proxy/sandbox/seccomp.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>

namespace egret::sandbox {
namespace {

// Without conditions. By name: libseccomp knows each architecture's number, and some of these are
// another call's on some architecture.
constexpr std::array kCalls = std::to_array<const char*>({
    // bytes
    "read",
    "readv",
    "write",
    "writev",
    "pread64",
    "pwrite64",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "close",
    "close_range",
    "lseek",
    "fsync",
    "fdatasync",
    // files: which ones is Landlock's to say
    "open",
    "openat",
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents64",
    "getcwd",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "umask",
    "dup",
    "dup2",
    "dup3",
    // sockets
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "shutdown",
    // waiting
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd2",
    "pipe2",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "nanosleep",
    "clock_nanosleep",
    "restart_syscall",
    // threads
    "futex",
    "set_robust_list",
    "rseq",
    "set_tid_address",
    "sched_yield",
    "sched_getaffinity",
    "membarrier",
    "exit",
    "exit_group",
    "gettid",
    "getpid",
    "getppid",
    "wait4",  // for the process that runs commands (proxy/commands/command_helper.h)
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    // signals
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigpending",  // libpq, around what OpenSSL writes
    "rt_sigreturn",
    "rt_sigtimedwait",
    "sigaltstack",
    // memory
    "munmap",
    "mremap",
    "madvise",
    "brk",
    // time, the machine, chance
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "sysinfo",
    "uname",
    "getrandom",
    "getrusage",
    "getrlimit",
    "setrlimit",
});

// What Needs::sanitizers is for.
constexpr std::array kSanitizerCalls = std::to_array<const char*>(
    {"clone", "ptrace", "waitid", "prctl", "kill", "tgkill", "mmap", "mprotect", "personality",
     "process_vm_readv", "setitimer", "execve", "fork", "vfork", "pipe", "mincore", "getdents",
     "socketpair"});

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(EPERM)), &seccomp_release) {
    if (!context_) {
      failed_ = "seccomp_init";
      return;
    }
    // A search tree, not a list, for kernels that do not remember what is always let through; and
    // no Speculative Store Bypass mitigation, which is for running others' code. Older libraries
    // and kernels know neither: then it is slower.
    seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_SSB, 1);
  }
  void let(const char* name, std::initializer_list<scmp_arg_cmp> when = {}) {
    add(SCMP_ACT_ALLOW, name, when);
  }
  void add(uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> when = {}) {
    const int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR || call < 0 || !failed_.empty()) return;  // not on this machine
    const int status = seccomp_rule_add_array(context_.get(), action, call,
                                              static_cast<unsigned>(when.size()), when.begin());
    if (status != 0) failed_ = std::string("the rule for ") + name + ": " + std::strerror(-status);
    if (action == SCMP_ACT_ALLOW) ++rules_;
  }
  Result<int> load() {
    if (failed_.empty()) {
      const int status = seccomp_load(context_.get());
      if (status != 0) failed_ = std::string("seccomp_load: ") + std::strerror(-status);
    }
    if (!failed_.empty()) return Unexpected(Reason::internal_error, failed_);
    return rules_;
  }

 private:
  std::unique_ptr<void, decltype(&seccomp_release)> context_;
  int rules_ = 0;
  std::string failed_;
};

// What is asked of one's own descriptors; F_SETOWN with F_SETSIG would be a way to signal others.
void let_descriptors(Filter& filter) {
  for (const scmp_datum_t command :
       {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD, F_DUPFD_CLOEXEC}) {
    filter.let("fcntl", {SCMP_A1(SCMP_CMP_EQ, command)});
  }
  // Of itself: another's limits may be lowered until it ends.
  filter.let("prlimit64", {SCMP_A0(SCMP_CMP_EQ, 0)});
}

// SQLite locks its files, and cuts its log.
void let_stores(Filter& filter) {
  for (const scmp_datum_t command : {F_GETLK, F_SETLK}) {
    filter.let("fcntl", {SCMP_A1(SCMP_CMP_EQ, command)});
  }
  filter.let("ftruncate");
}

// TCP, UDP and the list of this machine's addresses; Unix sockets for who listens on one or whose
// database does, since they lead to other services. No packet sockets, no raw ones.
void let_sockets(Filter& filter, const Needs& needs) {
  constexpr scmp_datum_t kTypes = 0xf;  // SOCK_CLOEXEC and SOCK_NONBLOCK left out
  for (const scmp_datum_t family : {AF_INET, AF_INET6}) {
    for (const scmp_datum_t type : {SOCK_STREAM, SOCK_DGRAM}) {
      const scmp_datum_t usual = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
      for (const scmp_datum_t protocol : {scmp_datum_t{0}, usual}) {
        filter.let("socket",
                   {SCMP_A0(SCMP_CMP_EQ, family), SCMP_A1(SCMP_CMP_MASKED_EQ, kTypes, type),
                    SCMP_A2(SCMP_CMP_EQ, protocol)});
      }
    }
  }
  if (!needs.sockets.empty() || needs.unix_clients)
    filter.let("socket", {SCMP_A0(SCMP_CMP_EQ, AF_UNIX)});
  filter.let("socket", {SCMP_A0(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2(SCMP_CMP_EQ, 0)});
  for (const scmp_datum_t request :
       {scmp_datum_t{FIONREAD}, scmp_datum_t{FIONBIO}, scmp_datum_t{TCGETS},
        scmp_datum_t{SIOCGIFNAME}, scmp_datum_t{SIOCGIFINDEX}}) {
    filter.let("ioctl", {SCMP_A1(SCMP_CMP_EQ, request)});
  }
}

// Threads, not processes.
void let_threads(Filter& filter) {
  constexpr scmp_datum_t kNewSpaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                      CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  filter.let("clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | kNewSpaces, CLONE_THREAD)});
  const auto self = static_cast<scmp_datum_t>(getpid());
  filter.let("tgkill", {SCMP_A0(SCMP_CMP_EQ, self)});
  for (const scmp_datum_t what : {PR_SET_NAME, PR_GET_NAME}) {
    filter.let("prctl", {SCMP_A0(SCMP_CMP_EQ, what)});
  }
  filter.let("prctl", {SCMP_A0(SCMP_CMP_EQ, PR_SET_DUMPABLE), SCMP_A1(SCMP_CMP_EQ, 0)});
}

// No page that is written becomes code.
void let_memory(Filter& filter) {
  filter.let("mmap", {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)});
  filter.let("mprotect", {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)});
}

}  // namespace

Result<int> restrict_system_calls(const Needs& needs) {
  Filter filter;
  for (const char* name : kCalls) filter.let(name);
  let_descriptors(filter);
  let_sockets(filter, needs);
  if (!needs.stores.empty()) let_stores(filter);
  // It hides its flags from a filter: "no such call" makes the C library use clone.
  filter.add(SCMP_ACT_ERRNO(ENOSYS), "clone3");
  if (needs.sanitizers) {
    for (const char* name : kSanitizerCalls) filter.let(name);
  } else {
    let_threads(filter);
    let_memory(filter);
    // Linux 4.14 and what lets it be asked; the thread alone otherwise.
    const uint32_t end = seccomp_api_get() >= 3 ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_KILL;
    for (const char* name : {"execve", "execveat"}) filter.add(end, name);
  }
  return filter.load();
}

}  // namespace egret::sandbox
