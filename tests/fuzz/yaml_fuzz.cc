// Any bytes are a configuration or are not: nothing throws, hangs or shows a secret.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "config/load.h"

namespace {

// No fuzzer writes this by itself, so where it turns up, it was leaked.
constexpr std::string_view kSecret = "kN0tInAnyInput/7f3a91c5d2";

class PlantedSecret final : public egret::config::SecretSource {
 public:
  std::string read_file(const std::string& path, std::string& error) override {
    if (path.size() % 8 == 7) error = "cannot read it";
    return std::string(kSecret) + (path.size() % 2 == 1 ? "\n not a token" : "");
  }
  std::string read_command(const std::vector<std::string>& arguments, std::string& error) override {
    return read_file(arguments.front(), error);
  }
  std::string read_env(const std::string& name, std::string& error) override {
    return read_file(name, error);
  }
  std::string file_warning(const std::string& path) override {
    return path.size() % 3 == 1 ? "everyone can read it" : "";
  }
};

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using egret::config::Diagnostic;
  using egret::config::Severity;
  const std::string text(data, data + size);
  PlantedSecret secrets;
  const egret::config::Loaded loaded = egret::config::load_text(text, "fuzz.yaml", secrets);

  const auto is_error = [](const Diagnostic& d) { return d.severity == Severity::error; };
  const bool failed = std::any_of(loaded.diagnostics.begin(), loaded.diagnostics.end(), is_error);
  require(failed == (loaded.settings == nullptr));

  const bool planted_by_input = text.find(kSecret) != std::string::npos;
  int line = 0;
  for (const Diagnostic& diagnostic : loaded.diagnostics) {
    require(planted_by_input || diagnostic.to_string().find(kSecret) == std::string::npos);
    require(!diagnostic.message.empty());
    // In the order of the text, but "12 more; mend these first" stands at the end.
    require(diagnostic.line >= line || &diagnostic == &loaded.diagnostics.back());
    line = diagnostic.line;
  }
  if (loaded.settings != nullptr) {
    require(!loaded.settings->listeners.empty());
    require(loaded.settings->workers > 0);
    const auto judge = loaded.settings->judge({});
    require(judge.rules().size() == loaded.settings->rules.size());
  }
  return 0;
}
