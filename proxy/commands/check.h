#pragma once

#include <memory>
#include <string>

#include "config/settings.h"

namespace egret::commands {

// Loads `path`, or the built-in defaults when it is empty. Diagnostics go to stderr; null when one
// of them is an error.
std::shared_ptr<const config::Settings> load(const std::string& path);

// `egret check`: 0 when the configuration can be used, 2 otherwise.
int check(const std::string& path);

}  // namespace egret::commands
