#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "config/load.h"
#include "tests/config/certificates.h"

namespace egret::config {

// Remembers what was asked; answers from a table.
class FakeSecrets final : public SecretSource {
 public:
  std::map<std::string, std::string> files;
  std::map<std::string, std::string> variables;
  std::map<std::string, std::string> warnings;
  // Whatever is asked for and not in the table is "s3cret"; NAME.crt is a CA's certificate,
  // NAME.key its key, NAME.crl its revocation list, and the
  // names of signing secrets are told by their ends.
  bool has_everything = false;

  std::string read_file(const std::string& path, std::string& error) override {
    return look(files, path, error);
  }
  std::map<std::string, std::string> commands;  // by the program
  std::string read_command(const std::vector<std::string>& arguments, std::string& error) override {
    return look(commands, arguments.front() + ".secret", error);
  }
  std::string read_env(const std::string& name, std::string& error) override {
    return look(variables, name, error);
  }
  std::string file_warning(const std::string& path) override {
    return warnings.contains(path) ? warnings.at(path) : "";
  }

 private:
  std::string look(const std::map<std::string, std::string>& table, const std::string& name,
                   std::string& error) const {
    if (table.contains(name)) return table.at(name);
    if (has_everything) {
      static const Issued ca = issue({.authority = true});
      if (name.ends_with(".crt")) return ca.certificate;
      if (name.ends_with(".key")) return ca.private_key;
      if (name.ends_with(".crl")) return revocation_list(ca);
      if (name.ends_with(".whsec") || name.ends_with("_WHSEC"))
        return "whsec_czNjcmV0LXMzY3JldC1zM2NyZXQtczNjcmV0";
      if (name.ends_with(".whsk")) return "whsk_czNjcmV0LXMzY3JldC1zM2NyZXQtczNjcmV0LS0=";
      if (name.ends_with(".secret") || name.ends_with("_SECRET")) return "s3cret-s3cret";
      return "s3cret";
    }
    error = "there is no \"" + name + "\"";
    return {};
  }
};

inline FakeSecrets every_secret() {
  FakeSecrets secrets;
  secrets.has_everything = true;
  return secrets;
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  EXPECT_TRUE(stream.good()) << path;
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

inline std::string all_text(const Loaded& loaded) {
  std::string out;
  for (const Diagnostic& diagnostic : loaded.diagnostics) out += diagnostic.to_string() + "\n";
  return out;
}

inline Loaded load(std::string_view text) {
  FakeSecrets secrets = every_secret();
  return load_text(text, "egret.yaml", secrets);
}

// The settings of a text that must load without any diagnostic.
inline std::shared_ptr<const Settings> must_load(std::string_view text) {
  const Loaded loaded = load(text);
  EXPECT_EQ(all_text(loaded), "") << text;
  if (loaded.settings == nullptr) throw std::runtime_error("did not load");
  return loaded.settings;
}

}  // namespace egret::config
