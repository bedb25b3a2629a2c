#include "config/schema.h"

#include <algorithm>
#include <set>

#include "tests/config/support.h"

namespace egret::config {
namespace {

TEST(Schema, ARuleHasTheKeysOfTheDefaults) {
  const auto rule = keys_of("rules");
  for (const std::string_view key : keys_of("defaults")) {
    EXPECT_NE(std::find(rule.begin(), rule.end(), key), rule.end()) << key;
  }
  EXPECT_EQ(keys_of("rules.timeouts"), keys_of("defaults.timeouts"));
  EXPECT_EQ(keys_of("rules.match").size(), 5U);
  EXPECT_TRUE(keys_of("nothing").empty());
}

TEST(Schema, WhatARuleInheritsCanBeTurnedOff) {
  for (const std::string_view path : {"defaults", "rules"}) {
    EXPECT_TRUE(may_be_none("via", path));
    EXPECT_TRUE(may_be_none("source", path));
    EXPECT_TRUE(may_be_none("breaker", path));
    EXPECT_TRUE(may_be_none("disable", path));
    EXPECT_FALSE(may_be_none("ports", path));
  }
  EXPECT_TRUE(may_be_none("crl", "rules.tls"));
  EXPECT_TRUE(may_be_none("client_certificate", "rules.tls"));
  EXPECT_FALSE(may_be_none("ca", "rules.tls"));
  EXPECT_FALSE(may_be_none("crl", "listeners.tls"));
  EXPECT_FALSE(may_be_none("via", ""));
}

TEST(Schema, NearestKeyIsNearOrFurtherDown) {
  EXPECT_EQ(nearest_key("prots", "defaults"), "ports");
  EXPECT_EQ(nearest_key("Ports", "rules"), "ports");
  EXPECT_EQ(nearest_key("idle", "defaults"), "timeouts.idle");
  EXPECT_EQ(nearest_key("hosts", "rules"), "match.hosts");
  EXPECT_EQ(nearest_key("ca_certificate", ""), "interception.ca_certificate");
  EXPECT_EQ(nearest_key("observability", ""), "");
  EXPECT_EQ(nearest_key("", ""), "");
  EXPECT_EQ(nearest_key(std::string(100'000, 'x'), ""), "");
}

// A value that no key takes: where `path` is read at all, it is refused.
std::string with_wrong_value(std::string_view path) {
  constexpr std::string_view kWrong = "[[[]]]";
  if (path.starts_with("keys.")) {
    // Entries have names, and a scheme decides which of the keys it has.
    const std::string_view key = path.substr(5);
    if (key == "scheme") return "keys: {k: {scheme: [[[]]]}}";
    const bool nested = key.starts_with("secrets.") || key.starts_with("headers.");
    const std::string scheme = key.starts_with("headers") ? "slack" : "http-message-signatures";
    const std::string value =
        !nested ? std::string(key) + ": " + std::string(kWrong)
        : key.starts_with("secrets.")
            ? "secrets: [{" + std::string(key.substr(8)) + ": " + std::string(kWrong) + "}]"
            : "headers: {" + std::string(key.substr(8)) + ": " + std::string(kWrong) + "}";
    return "keys: {k: {scheme: " + scheme + ", " + value + "}}";
  }
  static const std::set<std::string_view> kLists = {"listeners", "senders", "rules"};
  std::string text;
  std::string close;
  std::string_view rest = path;
  bool first = true;
  while (true) {
    const size_t dot = rest.find('.');
    const std::string key(rest.substr(0, dot));
    text += (first ? "" : "{") + key + ": ";
    close = (first ? "" : "}") + close;
    if (dot == std::string_view::npos) break;
    if (first && kLists.contains(key)) {
      text += "[";
      close = "]" + close;
    }
    first = false;
    rest.remove_prefix(dot + 1);
  }
  return text + std::string(kWrong) + close;
}

TEST(Schema, EveryKnownKeyIsRead) {
  for (const std::string_view path : known_keys()) {
    const std::string text = with_wrong_value(path);
    const std::string said = all_text(load(text));
    EXPECT_EQ(said.find("unknown key"), std::string::npos) << text << "\n" << said;
    const bool refused = said.find("expected") != std::string::npos ||
                         said.find("a secret does not stand in the text") != std::string::npos ||
                         said.find("a secret is exactly one reference") != std::string::npos;
    EXPECT_TRUE(refused) << text << "\n" << said;
  }
}

// docs/configuration.md has one heading "### `path`" a key.
TEST(Schema, EveryKeyIsDocumentedAndNothingElse) {
  std::set<std::string> documented;
  std::istringstream lines(read_text(EGRET_SOURCE_DIR "/docs/configuration.md"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("### `")) continue;
    const size_t end = line.find('`', 5);
    EXPECT_TRUE(documented.insert(line.substr(5, end - 5)).second) << line;
  }
  std::set<std::string> known;
  for (const std::string_view path : known_keys()) known.emplace(path);
  EXPECT_EQ(documented, known);
}

TEST(Documentation, EveryExampleLoadsWithoutAWord) {
  const std::string text = read_text(EGRET_SOURCE_DIR "/docs/configuration.md");
  constexpr std::string_view kBegin = "```yaml\n";
  size_t count = 0;
  for (size_t at = text.find(kBegin); at != std::string::npos; at = text.find(kBegin, at)) {
    at += kBegin.size();
    const std::string example = text.substr(at, text.find("```", at) - at);
    EXPECT_EQ(all_text(load(example)), "") << example;
    ++count;
  }
  EXPECT_GE(count, known_keys().size());
}

}  // namespace
}  // namespace egret::config
