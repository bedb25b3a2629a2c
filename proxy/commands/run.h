#pragma once

#include <string>

namespace egret::commands {

// `egret run`: serves until SIGTERM or SIGINT, then drains; a second one stops at once. SIGHUP
// reloads. 0 after an orderly end, 1 when it cannot start or had to cut exchanges off, 2 for a
// configuration that is wrong.
int run(const std::string& path);

}  // namespace egret::commands
