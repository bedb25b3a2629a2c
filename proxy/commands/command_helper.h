#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "proxy/net/socket.h"

namespace egret::commands {

// CommandHelper is a process of its own that runs the commands whose output is a secret: Egret
// itself gives up running programs (docs/design/0007-sandbox.md). It is told the commands once,
// before the sandbox is entered, and runs those and no other, each by its number: what takes over
// Egret can have the secrets read again that it holds in memory anyway, and nothing else.
//   Ends when Egret does, however that is. One thread: the main one's.
class CommandHelper {
 public:
  // Forks: while there is one thread only, and before any listener is bound. Errors:
  // internal_error.
  static Result<std::unique_ptr<CommandHelper>> start(
      std::vector<std::vector<std::string>> commands);

  // Lets it end, and waits for that for a moment.
  ~CommandHelper();
  CommandHelper(const CommandHelper&) = delete;
  CommandHelper& operator=(const CommandHelper&) = delete;

  // As config::run_command does, for one of the commands; another is an error: it needs a restart.
  std::string run(const std::vector<std::string>& arguments, std::string& error);

 private:
  CommandHelper(net::Fd socket, pid_t child, std::vector<std::vector<std::string>> commands)
      : socket_(std::move(socket)), child_(child), commands_(std::move(commands)) {}
  net::Fd socket_;
  pid_t child_;
  std::vector<std::vector<std::string>> commands_;
};

}  // namespace egret::commands
