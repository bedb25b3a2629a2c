#include "config/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/secret.h"
#include "config/diagnostics.h"

namespace egret::config {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostOutput = 64 * 1024;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

// A program that was started in a process group of its own; nothing of the group is left when this
// dies.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    ::kill(-pid_, SIGKILL);
    wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  // 0: it ended well.
  int wait() {
    while (!waited_ && ::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    waited_ = true;
    return status_;
  }

 private:
  pid_t pid_;
  int status_ = 0;
  bool waited_ = false;
};

// 0, or an errno.
int start(const std::vector<std::string>& arguments, int output, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> argv;
  for (const std::string& each : arguments) argv.push_back(const_cast<char*>(each.c_str()));
  argv.push_back(nullptr);
  char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  char* environment[] = {path, nullptr};
  const int error = posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

// True when all of it came: the program has closed its output.
bool read_all(int from, std::string& out, std::string& error) {
  const auto until = Clock::now() + std::chrono::seconds(kCommandPatienceSeconds);
  std::array<char, 4096> buffer;
  while (out.size() <= kMostOutput) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    pollfd waiting{from, POLLIN, 0};
    const int ready = left.count() <= 0 ? 0 : ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      error = "took longer than " + std::to_string(kCommandPatienceSeconds) + " seconds";
      return false;
    }
    const ssize_t got = ::read(from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got == 0;
    out.append(buffer.data(), static_cast<size_t>(got));
  }
  error = "said more than " + std::to_string(kMostOutput >> 10) + " KiB";
  return false;
}

std::string ended_badly(int status) {
  if (WIFSIGNALED(status)) return "was ended by signal " + std::to_string(WTERMSIG(status));
  return "ended with " + std::to_string(WEXITSTATUS(status));
}

CommandRunner& runner() {
  static CommandRunner chosen = run_command;
  return chosen;
}

}  // namespace

std::string run_command(const std::vector<std::string>& arguments, std::string& error) {
  const std::string program = "the command " + in_quotes(arguments.front());
  if (!arguments.front().starts_with('/')) {
    error = program + " has no absolute path";
    return {};
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    error = program + " could not be started: " + std::strerror(errno);
    return {};
  }
  Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  pid_t pid = 0;
  if (const int failed = start(arguments, writing.get(), pid); failed != 0) {
    error = program + " could not be started: " + std::strerror(failed);
    return {};
  }
  Child child(pid);
  writing.close();
  std::string said;
  std::string why;
  if (!read_all(reading.get(), said, why)) {
    Secret(std::move(said));  // wiped
    error = program + " " + (why.empty() ? "could not be read" : why);
    return {};
  }
  if (const int status = child.wait(); status != 0) {
    Secret(std::move(said));
    error = program + " " + ended_badly(status);
    return {};
  }
  if (said.ends_with('\n')) said.pop_back();
  if (said.ends_with('\r')) said.pop_back();
  return said;
}

void set_command_runner(CommandRunner chosen) { runner() = std::move(chosen); }
const CommandRunner& command_runner() { return runner(); }

}  // namespace egret::config
