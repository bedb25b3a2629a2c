// What the process can no longer do once it has entered the sandbox, each tried in a child of its
// own: the sandbox has no way back.

#include "proxy/sandbox/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

namespace egret::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr int kNotEntered = 200;

// The exit status of a child that enters and then does `what`; minus the signal that ended it.
int in_sandbox(const Needs& needs, const std::function<int()>& what) {
  const pid_t child = fork();
  if (child == 0) {
    const Result<Entered> entered = enter(needs);
    const bool all = entered && entered->missing.empty();
    if (!all) std::fputs((entered ? entered->missing : entered.error().detail).c_str(), stderr);
    _exit(all ? what() : kNotEntered);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

Needs reads(const char* place) {
  Needs needs;
  needs.read = {place};
  return needs;
}

int outside(int (*what)()) {
  const pid_t child = fork();
  if (child == 0) _exit(what());
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// 0, or the errno of a call that says -1.
int outcome(long returned) { return returned == -1 ? errno : 0; }
int outcome_of_map(void* mapped) { return mapped == MAP_FAILED ? errno : 0; }

struct Attempt {
  const char* name;
  int (*make)();
  int expected;  // an errno; 0: it works; negative: the signal that ends the process
};

int run_a_program() {
  char* arguments[] = {const_cast<char*>("/bin/true"), nullptr};
  return outcome(execv("/bin/true", arguments));
}
int make_a_process() { return outcome(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0)); }
int make_a_process_by_clone3() { return outcome(syscall(SYS_clone3, nullptr, 0)); }
int write_code_in_new_memory() {
  return outcome_of_map(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}
int turn_memory_into_code() {
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return outcome(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}
int signal_another() { return outcome(kill(getppid(), 0)); }
int signal_a_thread_of_another() { return outcome(syscall(SYS_tgkill, getppid(), getppid(), 0)); }
int make_a_thread() {
  pthread_t thread{};
  const auto run = [](void* argument) { return argument; };
  const int made = pthread_create(&thread, nullptr, run, nullptr);
  return made != 0 ? made : pthread_join(thread, nullptr);
}
int sockets_that_egret_has() {
  for (const int family : {AF_INET, AF_INET6}) {
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    close(fd);
  }
  return outcome(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

class SystemCalls : public testing::TestWithParam<Attempt> {};

TEST_P(SystemCalls, AreThoseThatEgretUses) {
  const Attempt& attempt = GetParam();
  if (attempt.expected > 0 && outside(attempt.make) == attempt.expected) {
    GTEST_SKIP() << "the kernel refuses it to this user without a sandbox too";
  }
  EXPECT_EQ(in_sandbox(reads("/"), attempt.make), attempt.expected);
}

const Attempt kAttempts[] = {
    {"RunningAProgramEndsIt", run_a_program, -SIGSYS},
    {"NoProcess", make_a_process, EPERM},
    {"NoProcessByClone3", make_a_process_by_clone3, ENOSYS},
    {"NoCodeInNewMemory", write_code_in_new_memory, EPERM},
    {"NoMemoryBecomesCode", turn_memory_into_code, EPERM},
    {"NoSignalToAnother", signal_another, EPERM},
    {"NoSignalToAThreadOfAnother", signal_a_thread_of_another, EPERM},
    {"NoPtrace", [] { return outcome(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }, EPERM},
    {"NoMount", [] { return outcome(mount("none", "/", "tmpfs", 0, nullptr)); }, EPERM},
    {"NoPacketSocket", [] { return outcome(socket(AF_PACKET, SOCK_RAW, 0)); }, EPERM},
    {"NoRawSocket", [] { return outcome(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }, EPERM},
    {"NoUserChange", [] { return outcome(syscall(SYS_setuid, getuid())); }, EPERM},
    {"NoNewNamespace", [] { return outcome(syscall(SYS_unshare, 0)); }, EPERM},
    {"NoKernelModule", [] { return outcome(syscall(SYS_init_module, nullptr, 0, "")); }, EPERM},
    {"NoBpf", [] { return outcome(syscall(SYS_bpf, 0, nullptr, 0)); }, EPERM},
    {"NoIoUring", [] { return outcome(syscall(SYS_io_uring_setup, 1, nullptr)); }, EPERM},
    {"NoKeyring", [] { return outcome(syscall(SYS_keyctl, 0, 0, 0, 0, 0)); }, EPERM},
    {"NoReadingOfAnothersMemory",
     [] { return outcome(syscall(SYS_process_vm_readv, getppid(), nullptr, 0, nullptr, 0, 0)); },
     EPERM},
    {"NoCoreDumpsAgain", [] { return outcome(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }, EPERM},
    {"NoTerminalInput", [] { return outcome(syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x")); },
     EPERM},
    {"NoSignalByADescriptor",
     [] {
       int ends[2];
       return pipe(ends) != 0 && pipe2(ends, 0) != 0 ? 1
                                                     : outcome(fcntl(ends[0], F_SETOWN, getppid()));
     },
     EPERM},
    {"NoPairOfUnixSockets",
     [] {
       int ends[2];
       return outcome(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
     },
     EPERM},
    {"NoLimitsForAnother",
     [] {
       const rlimit none{0, 0};
       return outcome(syscall(SYS_prlimit64, getppid(), RLIMIT_CORE, &none, nullptr));
     },
     EPERM},
    {"NoOtherProtocol", [] { return outcome(socket(AF_INET, SOCK_STREAM, 262 /* MPTCP */)); },
     EPERM},
    {"NoThreadInAnotherNamespace",
     [] {
       return outcome(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUTS,
                              nullptr, nullptr, nullptr, 0));
     },
     EPERM},
    {"NoUnixSocketUnlessNeeded", [] { return outcome(socket(AF_UNIX, SOCK_STREAM, 0)); }, EPERM},
    {"Threads", make_a_thread, 0},
    {"Sockets", sockets_that_egret_has, 0},
};
INSTANTIATE_TEST_SUITE_P(Sandbox, SystemCalls, testing::ValuesIn(kAttempts),
                         [](const auto& each) { return std::string(each.param.name); });

class Files : public testing::Test {
 protected:
  Files() : root(fs::temp_directory_path() / ("egret-sandbox-" + std::to_string(getpid()))) {
    for (const char* folder : {"read", "read/below", "logs", "sockets", "outside"}) {
      fs::create_directories(root / folder);
      std::ofstream(root / folder / "file") << "text";
    }
    fs::create_symlink(root / "outside/file", root / "read/link");
    needs.read = {root / "read", root / "does-not-exist"};
    needs.logs = {root / "logs"};
    needs.sockets = {root / "sockets"};
  }
  ~Files() override { fs::remove_all(root); }
  int open_file(const std::string& name, int flags) const {
    const std::string path = root / name;
    return in_sandbox(needs, [&] { return outcome(open(path.c_str(), flags, 0600)); });
  }
  fs::path root;
  Needs needs;
};

TEST_F(Files, AreReadInTheFoldersThatWereNamed) {
  for (const char* file : {"read/file", "read/below/file"}) {
    EXPECT_EQ(open_file(file, O_RDONLY), 0) << file;
  }
  for (const char* file :
       {"outside/file", "read/link", "read/../outside/file", "logs/file", "sockets/file"}) {
    EXPECT_EQ(open_file(file, O_RDONLY), EACCES) << file;
  }
  EXPECT_EQ(open_file("read", O_RDONLY | O_DIRECTORY), EACCES) << "nothing lists folders";
  needs.read.push_back(root / "outside/file");
  EXPECT_EQ(open_file("outside/file", O_RDONLY), 0) << "a file by itself";
  EXPECT_EQ(open_file("outside/file", O_RDWR), EACCES);
  EXPECT_EQ(open_file("outside", O_RDONLY | O_DIRECTORY), EACCES);
}

TEST_F(Files, AreWrittenInTheFoldersForThatOnly) {
  EXPECT_EQ(open_file("logs/file", O_WRONLY | O_APPEND), 0);
  EXPECT_EQ(open_file("logs/new", O_WRONLY | O_CREAT | O_EXCL), 0);
  for (const char* file : {"read/file", "outside/file", "sockets/file"}) {
    EXPECT_EQ(open_file(file, O_WRONLY | O_APPEND), EACCES) << file;
  }
  for (const char* file : {"read/new", "outside/new", "sockets/new"}) {
    EXPECT_EQ(open_file(file, O_WRONLY | O_CREAT), EACCES) << file;
  }
  for (const char* file : {"outside/file", "logs/file"}) {
    const std::string path = root / file;
    EXPECT_EQ(in_sandbox(needs, [&] { return outcome(unlink(path.c_str())); }), EACCES) << file;
  }
}

TEST_F(Files, OfSocketsAreMadeAndReplacedWhereTheyBelong) {
  for (const auto& [folder, expected] :
       {std::pair("sockets", 0), {"outside", EACCES}, {"logs", EACCES}}) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = root / folder / "egret.sock";
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(in_sandbox(needs,
                         [&] {
                           const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
                           const int bound = outcome(
                               bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
                           return bound != 0 ? bound : outcome(unlink(address.sun_path));
                         }),
              expected)
        << folder;
  }
}

TEST(Privileges, AreNeverGainedAgain) {
  EXPECT_EQ(in_sandbox(reads("/proc"),
                       [] {
                         std::ifstream status("/proc/self/status");
                         const std::string text{std::istreambuf_iterator<char>(status), {}};
                         const bool both = text.find("NoNewPrivs:\t1") != std::string::npos &&
                                           text.find("Seccomp:\t2") != std::string::npos;
                         return both ? 0 : 1;
                       }),
            0);
}

TEST(Memory, OfASecretIsNotDumped) {
  const pid_t child = fork();
  if (child == 0) {
    if (!keep_memory_private()) _exit(1);
    rlimit core{1, 1};
    getrlimit(RLIMIT_CORE, &core);
    _exit(prctl(PR_GET_DUMPABLE) == 0 && core.rlim_max == 0 ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace egret::sandbox
