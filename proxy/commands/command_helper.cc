#include "proxy/commands/command_helper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "config/command.h"
#include "config/diagnostics.h"

namespace egret::commands {
namespace {

// Answers are one word and so many bytes: of the output, or of what went wrong.
constexpr uint32_t kWrong = 1U << 31;
constexpr int kGrace = 2;  // seconds beyond what a command may take

bool read_all(int fd, void* into, size_t size) {
  auto* at = static_cast<char*>(into);
  while (size > 0) {
    const ssize_t got = ::read(fd, at, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool write_all(int fd, const void* from, size_t size) {
  const auto* at = static_cast<const char*>(from);
  while (size > 0) {
    const ssize_t put = ::send(fd, at, size, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += put;
    size -= static_cast<size_t>(put);
  }
  return true;
}

// The helper's life. Keeps nothing of Egret's open but its end of the socket.
[[noreturn]] void serve(int socket, const std::vector<std::vector<std::string>>& commands,
                        pid_t parent) {
  prctl(PR_SET_NAME, "egret-commands");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  // It ends with its parent: what is sent to the whole group is the parent's to answer.
  for (const int number : {SIGHUP, SIGINT, SIGTERM}) signal(number, SIG_IGN);
  const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nowhere, standard);
  if (socket > 3) close_range(3, static_cast<unsigned>(socket) - 1, 0);
  close_range(static_cast<unsigned>(socket) + 1, ~0U, 0);
  uint32_t index = 0;
  while (read_all(socket, &index, sizeof index)) {
    if (index >= commands.size()) break;
    std::string error;
    const Secret said(config::run_command(commands[index], error));
    const std::string_view answer = error.empty() ? said.reveal() : std::string_view(error);
    const uint32_t word = static_cast<uint32_t>(answer.size()) | (error.empty() ? 0 : kWrong);
    if (!write_all(socket, &word, sizeof word)) break;
    if (!write_all(socket, answer.data(), answer.size())) break;
  }
  _exit(0);
}

}  // namespace

Result<std::unique_ptr<CommandHelper>> CommandHelper::start(
    std::vector<std::vector<std::string>> commands) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return Unexpected(Reason::internal_error, std::strerror(errno));
  }
  net::Fd ours(ends[0]);
  const net::Fd theirs(ends[1]);
  const timeval patience{config::kCommandPatienceSeconds + kGrace, 0};
  setsockopt(ours.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return Unexpected(Reason::internal_error, std::strerror(errno));
  if (child == 0) serve(theirs.get(), commands, parent);
  return std::unique_ptr<CommandHelper>(
      new CommandHelper(std::move(ours), child, std::move(commands)));
}

CommandHelper::~CommandHelper() {
  socket_ = net::Fd();
  constexpr int kLooks = 100;
  for (int look = 0; look < kLooks && waitpid(child_, nullptr, WNOHANG) == 0; ++look) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

std::string CommandHelper::run(const std::vector<std::string>& arguments, std::string& error) {
  const std::string program = "the command " + config::in_quotes(arguments.front());
  const auto found = std::ranges::find(commands_, arguments);
  if (found == commands_.end()) {
    error = program + " was not in the configuration when Egret started; restart it";
    return {};
  }
  const auto index = static_cast<uint32_t>(found - commands_.begin());
  uint32_t word = 0;
  bool good =
      write_all(socket_.get(), &index, sizeof index) && read_all(socket_.get(), &word, sizeof word);
  std::string answer(good ? word & ~kWrong : 0, '\0');
  good = good && read_all(socket_.get(), answer.data(), answer.size());
  if (!good) {
    // Out of step for good: an answer that comes late is not the next one's.
    socket_ = net::Fd();
    error = program + ": the process that runs commands does not answer; restart Egret";
    return {};
  }
  if ((word & kWrong) == 0) return answer;
  error = std::move(answer);
  return {};
}

}  // namespace egret::commands
