#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace egret::config {

enum class Severity : uint8_t { warning, error };

// One mistake, as a person reads it:
//   egret.yaml:12:9: error: unknown key "prots"; did you mean "ports"?
//      12 |   prots: [443]
//         |   ^~~~~
struct Diagnostic {
  Severity severity = Severity::error;
  std::string path;
  int line = 0;    // from 1; 0: the file as a whole
  int column = 0;  // from 1
  std::string message;
  std::string excerpt;  // the source line; empty when there is none or it holds a secret
  int width = 1;        // of the underline
  // The lines above, without a final line end; the first alone when there is no excerpt.
  [[nodiscard]] std::string to_string() const;
};

struct Loaded {
  std::shared_ptr<const Settings> settings;  // null when any diagnostic is an error
  std::vector<Diagnostic> diagnostics;       // in the order of the text
  std::vector<std::string> files;            // that were read: the text's own, and those it names
  std::string text;                          // as it was read
  WallTime since{};                          // before any of it was read
  std::vector<std::vector<std::string>> commands;  // that were run for secrets, as argument lists
};

// Reads the environment and the files that secrets, certificates and lists name. A seam for tests.
class SecretSource {
 public:
  virtual ~SecretSource() = default;
  // The contents without one trailing newline, or why not (one sentence, never the contents).
  virtual std::string read_file(const std::string& path, std::string& error) = 0;
  virtual std::string read_env(const std::string& name, std::string& error) = 0;
  // What a program says on its standard output, without one trailing newline. `arguments` begins
  // with its absolute path; there is no shell. Five seconds, 64 KiB.
  virtual std::string read_command(const std::vector<std::string>& arguments,
                                   std::string& error) = 0;
  // The same for what is no secret and may be larger: trust anchors, revocation lists.
  virtual std::string read_list(const std::string& path, std::string& error) {
    return read_file(path, error);
  }
  // What is unsafe about the file, such as who may read it; empty when nothing is.
  virtual std::string file_warning(const std::string& /*path*/) { return {}; }
};
SecretSource& system_secrets();

// Translates a configuration; every mistake is reported at once. Reads no files but those
// that it names, each secret's and certificate's.
Loaded load_text(std::string_view text, std::string path, SecretSource& secrets = system_secrets());
Loaded load_file(const std::filesystem::path& path);

// The safe built-in defaults: what `egret run` without -c uses (config/examples/defaults.yaml is
// the same text, compiled in).
std::shared_ptr<const Settings> built_in_defaults();

}  // namespace egret::config
