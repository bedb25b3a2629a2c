// What keys and the rules that use them become.

#include "base/text.h"
#include "config/command.h"
#include "tests/config/support.h"

namespace egret::config {
namespace {

using namespace std::chrono_literals;
using policy::SigningAlgorithm;
using policy::SigningScheme;

std::shared_ptr<const Settings> loaded(const std::string& text, FakeSecrets& secrets) {
  const Loaded result = load_text(text, "egret.yaml", secrets);
  EXPECT_NE(result.settings, nullptr) << all_text(result);
  return result.settings;
}

TEST(Keys, AreDecodedInTheirOrder) {
  FakeSecrets secrets;
  secrets.files = {{"/new", "whsec_" + text::base64(std::string(32, 'n'))},
                   {"/old", "whsec_" + text::base64(std::string(24, 'o'))},
                   {"/text", "s3cret text"},
                   {"/hmac", text::base64(std::string(16, 'h'))}};
  secrets.variables = {{"SEED", "whsk_" + text::base64(std::string(32, 's'))}};
  const auto settings = loaded(R"(
keys:
  partner:
    scheme: standard-webhooks
    secrets:
      - {file: /new, id: second, not_before: "2026-01-02T03:04:05Z"}
      - {file: /old, not_after: "2199-12-31T23:59:59Z"}
  pair: {scheme: standard-webhooks-ed25519, derive: true, secrets: [{env: SEED}]}
  hub: {scheme: github, headers: {signature: X-Acme}, secrets: [{file: /text}]}
  rfc:
    scheme: http-message-signatures
    algorithm: hmac-sha256
    components: ["@method", Content-Digest]
    label: acme
    expires: 5m
    tag: hooks
    secrets: [{file: /hmac}]
defaults: {sign: [partner, pair]}
rules:
  - {name: hub, match: {hosts: [hub.example]}, sign: [hub, rfc]}
  - {name: none, match: {hosts: [none.example]}, sign: []}
)",
                               secrets);
  ASSERT_NE(settings, nullptr);
  ASSERT_EQ(settings->keys.size(), 4U);
  const policy::SigningKey& partner = settings->keys[0];
  EXPECT_EQ(partner.name, "partner");
  EXPECT_EQ(partner.secrets[0].bytes.reveal(), std::string(32, 'n'));
  EXPECT_EQ(partner.secrets[0].id, "second");
  EXPECT_EQ(partner.secrets[0].not_before, WallTime(1'767'323'045s));
  EXPECT_EQ(partner.secrets[1].bytes.reveal(), std::string(24, 'o'));
  EXPECT_EQ(partner.secrets[1].not_after, WallTime(7'258'118'399s));
  EXPECT_EQ(partner.signature_header, "webhook-signature");
  EXPECT_EQ(partner.timestamp_header, "webhook-timestamp");
  const policy::SigningKey& pair = settings->keys[1];
  EXPECT_EQ(pair.algorithm, SigningAlgorithm::ed25519);
  EXPECT_EQ(pair.secrets[0].bytes.reveal(), std::string(32, 's'));
  EXPECT_TRUE(pair.derive);
  const policy::SigningKey& hub = settings->keys[2];
  EXPECT_EQ(hub.secrets[0].bytes.reveal(), "s3cret text");
  EXPECT_EQ(hub.signature_header, "X-Acme");
  const policy::SigningKey& rfc = settings->keys[3];
  EXPECT_EQ(rfc.algorithm, SigningAlgorithm::hmac_sha256);
  EXPECT_EQ(rfc.components, (std::vector<std::string>{"@method", "content-digest"}));
  EXPECT_EQ(rfc.label, "acme");
  EXPECT_EQ(rfc.expires, 5min);
  EXPECT_EQ(rfc.tag, "hooks");
  EXPECT_EQ(settings->defaults.sign, (std::vector<std::string>{"partner", "pair"}));
  EXPECT_EQ(settings->rules[0].sign, (std::vector<std::string>{"hub", "rfc"}));
  EXPECT_TRUE(settings->rules[1].sign.empty()) << "a list replaces the list";
  EXPECT_TRUE(settings->holds_secrets());
}

TEST(OnBehalf, RulesReplaceOneByOne) {
  FakeSecrets secrets;
  secrets.files = {{"/authorization", "Bearer s3cret"}};
  const auto settings = loaded(R"(
defaults:
  redirects: {follow: any, max: 5}
  success: [2xx, 409]
  retry: {attempts: 4, on: [reset, 5xx], backoff: {initial: 1s, factor: 1.5, max: 9s, jitter: 0%}}
  headers: {set: {X-A: one}, remove: [X-Gone]}
  limits: {oversize: fail}
rules:
  - name: other
    redirects: {follow: same-host}
    retry: {attempts: 2, backoff: {max: 2s}}
    headers: {set: {Authorization: {file: /authorization}}}
)",
                               secrets);
  ASSERT_NE(settings, nullptr);
  const policy::Rule& all = settings->defaults;
  EXPECT_EQ(all.redirects, (policy::Redirects{policy::Follow::any, 5}));
  EXPECT_TRUE(all.success.contains(204) && all.success.contains(409) && !all.success.contains(404));
  EXPECT_TRUE(all.retry.on_reset && !all.retry.on_connect && !all.retry.on_timeout);
  EXPECT_TRUE(all.retry.on_status.contains(599) && !all.retry.on_status.contains(429));
  EXPECT_EQ(all.retry.backoff, (policy::Backoff{1s, 1.5, 9s, 0}));
  EXPECT_EQ(all.limits.oversize, policy::Oversize::fail);
  const policy::Rule& rule = settings->rules[0];
  EXPECT_EQ(rule.redirects, (policy::Redirects{policy::Follow::same_host, 5}));
  EXPECT_EQ(rule.retry.attempts, 2U);
  EXPECT_TRUE(rule.retry.on_reset);
  EXPECT_EQ(rule.retry.backoff, (policy::Backoff{1s, 1.5, 2s, 0}));
  ASSERT_EQ(rule.headers.set.size(), 1U);
  EXPECT_EQ(rule.headers.set[0].name, "Authorization");
  EXPECT_EQ(rule.headers.set[0].value.reveal(), "Bearer s3cret");
  EXPECT_EQ(rule.headers.remove, (std::vector<std::string>{"x-gone"}));
}

TEST(Commands, AreRunWithoutAShellAndRemembered) {
  const std::string text =
      "keys: {k: {scheme: github, secrets: [{command: [/bin/echo, 's3cret $HOME; x']}]}}\n"
      "defaults: {sign: [k]}\n";
  const Loaded result = load_text(text, "egret.yaml");
  ASSERT_NE(result.settings, nullptr) << all_text(result);
  EXPECT_EQ(result.settings->keys[0].secrets[0].bytes.reveal(), "s3cret $HOME; x");
  ASSERT_EQ(result.commands.size(), 1U);
  EXPECT_EQ(result.commands[0], (std::vector<std::string>{"/bin/echo", "s3cret $HOME; x"}));
}

TEST(Commands, HaveAnEnvironmentOfPathAlone) {
  std::string error;
  const std::string said = run_command({"/usr/bin/env"}, error);
  EXPECT_EQ(error, "");
  EXPECT_TRUE(said.starts_with("PATH=/") && said.find('\n') == std::string::npos) << said;
}

}  // namespace
}  // namespace egret::config
