#include <gtest/gtest.h>

#include "tests/config/support.h"

namespace egret::config {
namespace {

using policy::Consent;
using policy::ConsentScheme;
using std::chrono::hours;
using std::chrono::seconds;

TEST(Consent, IsRead) {
  const auto settings = must_load(
      "queue: {store: \"sqlite:q\"}\n"
      "defaults:\n"
      "  delivery: {mode: async}\n"
      "  consent: {above: 20/min, valid: 2d}\n"
      "rules:\n"
      "  - name: a\n"
      "    match: {hosts: [a.example]}\n"
      "    consent: {scheme: cloudevents, origin: Events.Example.com., callback: "
      "\"https://egret.example:8443/consent/\"}\n"
      "  - name: b\n"
      "    consent: {scheme: challenge, above: 5/s}\n");
  EXPECT_FALSE(settings->defaults.consent.asks());
  const Consent wanted{.scheme = ConsentScheme::cloudevents,
                       .above = {seconds(3), 20},
                       .valid = hours(48),
                       .origin = "events.example.com",
                       .callback = "https://egret.example:8443/consent/"};
  EXPECT_EQ(settings->rules[0].consent, wanted);
  EXPECT_EQ(settings->rules[1].consent.scheme, ConsentScheme::challenge);
  EXPECT_EQ(settings->rules[1].consent.above, (policy::Rate{std::chrono::milliseconds(200), 5}));
  EXPECT_EQ(must_load("{}")->defaults.consent, Consent());
}

TEST(Consent, MistakesAreSaid) {
  const std::string queue = "queue: {store: \"sqlite:q\"}\n";
  const std::string kept = queue + "defaults: {delivery: {mode: async}, consent: {";
  const std::pair<std::string, const char*> all[] = {
      {"scheme: cloudevent}}\n", "not one of"},
      {"scheme: cloudevents}}\n", "write origin"},
      {"scheme: cloudevents, origin: 192.0.2.1}}\n", "no DNS name"},
      {"scheme: cloudevents, origin: \"a b\"}}\n", "no DNS name"},
      {"scheme: cloudevents, origin: a.example, callback: \"https://e.example/c\"}}\n", "slash"},
      {"scheme: cloudevents, origin: a.example, callback: \"https://e.example/?c/\"}}\n", "slash"},
      {"scheme: cloudevents, origin: a.example, callback: \"ftp://e.example/\"}}\n", "slash"},
      {"scheme: cloudevents, origin: a.example, callback: \"http://e.example/\"}}\n",
       "write https"},
      {"scheme: challenge, origin: a.example}}\n", "only scheme: cloudevents"},
      {"scheme: challenge, callback: \"https://e.example/c/\"}}\n", "only scheme: cloudevents"},
      {"scheme: challenge, above: none}}\n", "a rate is needed"},
      {"scheme: challenge, above: 100}}\n", "is not a rate"},
      {"scheme: challenge, above: 0/min}}\n", "is not a rate"},
      {"scheme: challenge, valid: 1s}}\n", "out of range"},
      {"scheme: challenge, valid: 366d}}\n", "valid"},
      {"scheme: challenge, over: 1/s}}\n", "unknown key"},
      {"scheme: challenge}, rate: {per_host: 10/min}}\n", "nobody is ever asked"},
  };
  for (const auto& [text, wanted] : all) {
    const Loaded loaded = load(kept + text);
    EXPECT_NE(all_text(loaded).find(wanted), std::string::npos) << text << all_text(loaded);
  }
  const std::pair<const char*, const char*> others[] = {
      {"defaults: {consent: {scheme: challenge}}\n", "without a queue"},
      {"rules: [{name: a, consent: {valid: 1d}}]\n", "nobody is asked while scheme is none"},
      {"rules: [{name: a, consent: challenge}]\n", "consent"},
  };
  for (const auto& [text, wanted] : others) {
    const Loaded loaded = load(text);
    EXPECT_NE(all_text(loaded).find(wanted), std::string::npos) << text << all_text(loaded);
  }
}

}  // namespace
}  // namespace egret::config
