#pragma once

#include <string>

#include "base/result.h"
#include "config/load.h"
#include "proxy/logging.h"

namespace egret::commands {

// What came of it, for the log: a warning when less is in force than there could be.
struct Confined {
  config::LogLevel level = config::LogLevel::info;
  std::string sentence;
};

// What an `egret run` of `loaded` may still do once it has started: it reads below the folders of
// the files that it was configured from, and of the system's for names and time; it writes below
// those of its access log and its Unix sockets (docs/configuration.md, `sandbox`).
//   Call it before a thread is made. Errors: internal_error.
Result<Confined> confine(const config::Loaded& loaded);

// A warning when the name servers are to be the system's, and it does not name any.
void look_for_name_servers(const config::Settings& settings, proxy::Log& log);

// After each load: memory with secrets in it is not for core dumps or debuggers.
void protect_secrets(const config::Settings& settings, proxy::Log& log);

// As many descriptors as the process may have, two a request under way, and a warning when that is
// too few for the listeners' max_connections. Errors: internal_error: too few to start with.
Result<> raise_descriptor_limit(const config::Settings& settings, proxy::Log& log);

}  // namespace egret::commands
