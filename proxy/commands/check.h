#pragma once

#include <string>

#include "config/load.h"

namespace egret::commands {

// Loads `path`, or the built-in defaults when it is empty, and prints its diagnostics to stderr.
config::Loaded load(const std::string& path);
// The same for the text that was read from `path` before; the files that it names are read anew.
config::Loaded load_again(const std::string& text, const std::string& path);

// `egret check`: 0 when the configuration can be used, 2 otherwise.
int check(const std::string& path);

}  // namespace egret::commands
