// tests/data/config/NAME.yaml is loaded and every diagnostic, as a person reads it, is compared
// with NAME.errors. A new case needs no C++. To write the .errors anew, on purpose:
//   EGRET_REGENERATE=1 egret_config_test --gtest_filter='*Golden*'   (the test then fails)
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "tests/config/support.h"

namespace egret::config {
namespace {

std::vector<std::filesystem::path> cases() {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(EGRET_TEST_DATA "/config")) {
    if (entry.path().extension() == ".yaml") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

void add_certificates(FakeSecrets& secrets) {
  static const Issued ca = issue({.authority = true});
  static const Issued leaf = issue({});
  static const Issued old = issue({.authority = true, .not_after = "20210203000000Z"});
  secrets.files.insert({{"/ca.crt", ca.certificate},
                        {"/ca.key", ca.private_key},
                        {"/ca.crl", revocation_list(ca)},
                        {"/leaf.crt", leaf.certificate},
                        {"/leaf.key", leaf.private_key},
                        {"/encrypted.key", leaf.encrypted_key},
                        {"/open.key", leaf.private_key},
                        {"/old.crt", old.certificate},
                        {"/old.key", old.private_key},
                        {"/old.crl", revocation_list(ca, "20210203000000Z")},
                        {"/both.pem", leaf.certificate + leaf.private_key}});
  secrets.warnings["/open.key"] = "every user of this machine can read \"/open.key\"; chmod o-r it";
}

class Golden : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(Golden, SaysExactlyThis) {
  FakeSecrets secrets;
  secrets.files = {{"/good", "s3cret"},
                   {"/empty", ""},
                   {"/two-lines", "one\ntwo"},
                   {"/no-token68", "a b"},
                   {"/short", "s3cret"},
                   {"/long", "s3cret-and-more"},
                   {"/whsec", "whsec_czNjcmV0LXMzY3JldC1zM2NyZXQtczNjcmV0"},
                   {"/open", "s3cret"}};
  add_certificates(secrets);
  secrets.variables = {{"GOOD", "s3cret"}};
  secrets.warnings["/open"] = "every user of this machine can read \"/open\"; chmod o-r it";
  const std::string name = GetParam().filename().string();
  const Loaded loaded = load_text(read_text(GetParam()), name, secrets);
  const std::string said = all_text(loaded);

  const bool wrong = std::any_of(loaded.diagnostics.begin(), loaded.diagnostics.end(),
                                 [](const Diagnostic& d) { return d.severity == Severity::error; });
  EXPECT_EQ(loaded.settings == nullptr, wrong);
  EXPECT_EQ(said.find("hunter2"), std::string::npos) << "a secret in the text was shown:\n" << said;
  EXPECT_EQ(said.find("s3cret"), std::string::npos) << "a secret was shown:\n" << said;

  std::filesystem::path expected = GetParam();
  expected.replace_extension(".errors");
  if (std::getenv("EGRET_REGENERATE") != nullptr) {
    std::ofstream(expected, std::ios::binary) << said;
    FAIL() << "wrote " << expected << ": read it, then run again without EGRET_REGENERATE";
  }
  EXPECT_EQ(said, read_text(expected));
}

INSTANTIATE_TEST_SUITE_P(Config, Golden, ::testing::ValuesIn(cases()), [](const auto& one) {
  std::string name = one.param.stem().string();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); },
      '_');
  return name;
});

}  // namespace
}  // namespace egret::config
