#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/load.h"

namespace egret::config {

// Where a configuration wants its interception CA to be: `interception` alone is read, since the
// files do not exist before `egret ca init` has made them. Empty where there is a diagnostic.
struct InterceptionPaths {
  std::string ca_certificate;
  std::string ca_key;
  std::vector<Diagnostic> diagnostics;
};
InterceptionPaths interception_paths(const std::filesystem::path& path);

}  // namespace egret::config
