#pragma once

#include <functional>
#include <string>
#include <vector>

namespace egret::config {

// Secrets that a program says: {command: [/path/to/program, argument…]}.

// Runs a program and returns what it said on its standard output, without one trailing line end.
//   No shell; the program's path is absolute; its environment is PATH alone, its input empty, what
//   it says on standard error is thrown away (it may hold the secret). At most kCommandPatience and
//   64 KiB. `error`: one sentence that names the program and nothing else of what it was given.
std::string run_command(const std::vector<std::string>& arguments, std::string& error);

inline constexpr int kCommandPatienceSeconds = 5;

// Who runs the commands that a configuration names: run_command, until somebody else was set. Egret
// at work may not start programs (proxy/commands/command_helper.h). Set once, by the main thread.
using CommandRunner = std::function<std::string(const std::vector<std::string>&, std::string&)>;
void set_command_runner(CommandRunner runner);
const CommandRunner& command_runner();

}  // namespace egret::config
