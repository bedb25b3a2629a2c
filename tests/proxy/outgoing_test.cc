// How requests leave: fields that stay behind, fields that are set, signatures.

#include <gtest/gtest.h>

#include "proxy/signing/signing.h"
#include "proxy/signing/verify.h"
#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::FarEnd;
using test::Kind;
using test::kOk;
using test::Message;
using test::post;
using test::Sandbox;

constexpr std::string_view kPartner = "whsec_cGFydG5lci1zZWNyZXQtb2YtdGhpcnR5LWJ5dGVz";
constexpr std::string_view kOther = "whsec_b3RoZXItc2VjcmV0LW9mLXRoaXJ0eS1ieXRlcy1h";

// Keys `partner` and `other`, and `rules`.
struct Signing : Sandbox {
  static std::string_view with_keys() {
    environment()["PARTNER"] = kPartner;
    environment()["OTHER"] = kOther;
    environment()["GITHUB"] = "It's a Secret to Everybody";
    return R"(
keys:
  partner: {scheme: standard-webhooks, secrets: [{env: PARTNER}]}
  other: {scheme: standard-webhooks, secrets: [{env: OTHER}]}
  github: {scheme: github, secrets: [{env: GITHUB}]}
)";
  }
  explicit Signing(std::string_view rules)
      : Sandbox(std::string(with_keys()) + std::string(rules)) {
    dns.answer("other.acme.io", {"93.184.215.20"});
  }
};

std::vector<http::Field> fields_of(const Message& request) {
  std::vector<http::Field> fields;
  std::string_view rest = request.head;
  rest.remove_prefix(rest.find("\r\n") + 2);
  while (!rest.starts_with("\r\n")) {
    const std::string_view line = rest.substr(0, rest.find("\r\n"));
    const size_t colon = line.find(": ");
    fields.push_back({line.substr(0, colon), line.substr(colon + 2)});
    rest.remove_prefix(line.size() + 2);
  }
  return fields;
}

// "ok" or what is wrong with the signature of `request` by `secret`.
std::string verdict(Sandbox& gateway, const Message& request, std::string_view secret,
                    std::optional<policy::SigningScheme> scheme = {}) {
  const Result<signing::VerifyKey> key = signing::parse_verify_key(secret, scheme);
  if (!key) return key.error().detail;
  const Result<policy::Url> url = policy::parse_url(
      "http://" + request.field("Host") + request.start.substr(5, request.start.rfind(' ') - 5));
  const std::vector<http::Field> fields = fields_of(request);
  const Result<> verified = signing::verify(*key, {.method = "POST",
                                                   .url = *url,
                                                   .fields = fields,
                                                   .content = request.body,
                                                   .now = gateway.loop.clock().wall()});
  return verified ? "ok" : verified.error().detail;
}

TEST(Outgoing, FieldsAreRemovedThenSet) {
  Sandbox gateway(R"(
defaults:
  headers:
    set: {X-Source: egret, User-Agent: acme-hooks/1}
    remove: [X-Internal, traceparent]
)");
  FarEnd sender = gateway.connect();
  sender.send(post("x",
                   "X-Internal: 1\r\nx_internal: 2\r\nUser-Agent: python\r\nUSER-AGENT: twice\r\n"
                   "X-Source: spoofed\r\nX-Kept: k\r\nTraceparent: 00-1-2-3\r\n"));
  const Message request = gateway.destination().take(Kind::request);
  EXPECT_EQ(request.field("X-Internal"), "");
  EXPECT_EQ(request.field("x_internal"), "");
  EXPECT_EQ(request.field("traceparent"), "");
  EXPECT_EQ(request.field("X-Kept"), "k");
  EXPECT_EQ(request.count("User-Agent"), 1U);
  EXPECT_EQ(request.field("User-Agent"), "acme-hooks/1");
  EXPECT_EQ(request.count("X-Source"), 1U);
  EXPECT_EQ(request.field("X-Source"), "egret");
}

TEST(Outgoing, TraceContextIsPassedOn) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("x",
                   "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
                   "tracestate: a=b\r\nConnection: traceparent, tracestate\r\n"));
  const Message request = gateway.destination().take(Kind::request);
  EXPECT_EQ(request.field("traceparent"),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  EXPECT_EQ(request.field("tracestate"), "a=b");
}

TEST(Outgoing, EveryAttemptIsSignedAnewUnderTheSameId) {
  Signing gateway(R"(
defaults:
  sign: [partner]
  retry: {attempts: 2, on: [503], backoff: {initial: 2s, jitter: 0%}}
)");
  FarEnd sender = gateway.connect();
  sender.send(post("{\"a\":1}"));
  const Message first = gateway.destination().take(Kind::request);
  EXPECT_EQ(verdict(gateway, first, kPartner), "ok");
  EXPECT_NE(verdict(gateway, first, kOther), "ok");
  gateway.destination().send("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n");
  gateway.loop.advance(2s);
  const Message second = gateway.destination().take(Kind::request);
  EXPECT_EQ(verdict(gateway, second, kPartner), "ok");
  EXPECT_EQ(second.field("webhook-id"), first.field("webhook-id"));
  EXPECT_NE(second.field("webhook-timestamp"), first.field("webhook-timestamp"));
  EXPECT_NE(second.field("webhook-signature"), first.field("webhook-signature"));
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  EXPECT_EQ(gateway.logged("webhook_id"), first.field("webhook-id"));
  EXPECT_EQ(gateway.metrics.requests_signed, 2U);
}

TEST(Outgoing, WhatTheSenderSaysOfSignaturesDoesNotSurvive) {
  Signing gateway("defaults: {sign: [partner, github]}");
  FarEnd sender = gateway.connect();
  sender.send(post("x",
                   "Webhook-Id: bad id, with spaces\r\nWebhook-Timestamp: 1\r\n"
                   "webhook_signature: v1,spoofed\r\nWEBHOOK-SIGNATURE: v1,spoofed\r\n"
                   "X-Hub-Signature-256: sha256=00\r\nx_hub_signature_256: sha256=00\r\n"));
  const Message request = gateway.destination().take(Kind::request);
  EXPECT_EQ(request.head.find("spoofed"), std::string::npos);
  EXPECT_EQ(request.head.find("sha256=00"), std::string::npos);
  for (const std::string_view name :
       {"webhook-id", "webhook-timestamp", "webhook-signature", "x-hub-signature-256"}) {
    EXPECT_EQ(request.count(name), 1U) << name;
  }
  EXPECT_EQ(request.field("webhook-id").rfind("msg_", 0), 0U);
  EXPECT_EQ(verdict(gateway, request, kPartner), "ok");
  EXPECT_EQ(verdict(gateway, request, "It's a Secret to Everybody", policy::SigningScheme::github),
            "ok");
}

TEST(Outgoing, AWellFormedIdOfTheSendersIsTaken) {
  Signing gateway("defaults: {sign: [partner]}");
  FarEnd sender = gateway.connect();
  sender.send(post("x", "Webhook-Id: evt_42\r\n"));
  const Message request = gateway.destination().take(Kind::request);
  EXPECT_EQ(request.field("webhook-id"), "evt_42");
  EXPECT_EQ(request.count("webhook-id"), 1U);
  EXPECT_EQ(verdict(gateway, request, kPartner), "ok");

  FarEnd twice = gateway.connect();
  twice.send(post("x", "Webhook-Id: evt_42\r\nWebhook-Id: evt_43\r\n"));
  EXPECT_EQ(gateway.destination(1).take(Kind::request).field("webhook-id").rfind("msg_", 0), 0U);
}

TEST(Outgoing, ChunkedContentIsSignedAsItLeaves) {
  Signing gateway("defaults: {sign: [partner]}");
  FarEnd sender = gateway.connect();
  sender.send(
      "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
  const Message request = gateway.destination().take(Kind::request);
  EXPECT_EQ(request.body, "abcdef");
  EXPECT_EQ(verdict(gateway, request, kPartner), "ok");
}

TEST(Outgoing, TheSenderPicksOneOfTheRulesKeys) {
  Signing gateway("defaults: {sign: [partner, other]}");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  const Message both = gateway.destination(0).take(Kind::request);
  EXPECT_EQ(verdict(gateway, both, kPartner), "ok");
  EXPECT_EQ(verdict(gateway, both, kOther), "ok");

  FarEnd picky = gateway.connect();
  picky.send(post("x", "Egret-Key: other\r\n"));
  const Message one = gateway.destination(1).take(Kind::request);
  EXPECT_EQ(verdict(gateway, one, kOther), "ok");
  EXPECT_NE(verdict(gateway, one, kPartner), "ok");
  EXPECT_EQ(one.field("Egret-Key"), "");
}

TEST(Outgoing, AKeyThatTheRuleDoesNotHaveIsRefused) {
  struct Case {
    std::string_view rules;
    std::string_view fields;
  };
  const Case cases[] = {
      {"defaults: {sign: [partner]}", "Egret-Key: github\r\n"},
      {"defaults: {sign: [partner]}", "Egret-Key: \r\n"},
      {"defaults: {sign: [partner]}", "Egret-Key: partner\r\nEgret-Key: partner\r\n"},
      {"rules: [{name: signed, match: {hosts: [x.acme.io]}, sign: [partner, other, github]}]",
       "Egret-Key: partner\r\n"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.fields);
    Signing gateway(each.rules);
    FarEnd sender = gateway.connect();
    sender.send(post("x", each.fields));
    test::expect_refused(gateway, sender, 400, "header_invalid", "http_request_error");
    EXPECT_EQ(gateway.destinations(), 0U);
  }
}

TEST(Outgoing, AnotherHostIsSignedByTheKeysOfTheRuleThatTakesIt) {
  Signing gateway(R"(
rules:
  - {name: start, match: {hosts: [hooks.acme.io]}, sign: [partner], redirects: {follow: any}}
  - {name: other, match: {hosts: [other.acme.io]}, sign: [other]}
)");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  const Message first = gateway.destination(0).take(Kind::request);
  gateway.destination(0).send(
      "HTTP/1.1 307 X\r\nLocation: http://other.acme.io/\r\nContent-Length: 0\r\n\r\n");
  const Message second = gateway.destination(1).take(Kind::request);
  EXPECT_EQ(verdict(gateway, second, kOther), "ok");
  EXPECT_NE(verdict(gateway, second, kPartner), "ok");
  EXPECT_EQ(second.field("webhook-id"), first.field("webhook-id"));
}

TEST(Outgoing, NothingLeavesUnsignedWhenNoSecretIsValidNow) {
  Sandbox::environment()["PARTNER"] = kPartner;
  Sandbox gateway(R"(
keys:
  partner: {scheme: standard-webhooks, secrets: [{env: PARTNER, not_before: "2027-01-01T00:00:00Z"}]}
defaults: {sign: [partner]}
)");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  test::expect_refused(gateway, sender, 500, "signing_failed", "proxy_configuration_error");
  EXPECT_EQ(gateway.destinations(), 0U);
}

}  // namespace
}  // namespace egret::proxy
