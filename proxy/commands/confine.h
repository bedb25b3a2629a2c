#pragma once

#include <string>

#include "base/result.h"
#include "config/load.h"
#include "proxy/logging.h"

namespace egret::commands {

// What an `egret run` of `loaded` may still do once it has started: it reads below the folders of
// the files that it was configured from, and of the system's for names and time; it writes below
// those of its access log and its Unix sockets (docs/configuration.md, `sandbox`).
//   Call it before a thread is made. What is in force, as a sentence for the log; empty when it is
//   switched off. Errors: internal_error.
Result<std::string> confine(const config::Loaded& loaded);

// After each load: memory with secrets in it is not for core dumps or debuggers.
void protect_secrets(const config::Settings& settings, proxy::Log& log);

// As many descriptors as the process may have, two a request under way, and a word when that is too
// few for the listeners' max_connections.
void raise_descriptor_limit(const config::Settings& settings, proxy::Log& log);

}  // namespace egret::commands
