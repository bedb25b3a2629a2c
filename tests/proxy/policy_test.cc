// Who sends, and where to: identity and policy as the walk applies them.

#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::FarEnd;
using test::Gateway;
using test::get;
using test::Kind;
using test::kOk;
using test::Message;
using test::post;
using test::Sandbox;

constexpr std::string_view kSenders = R"(
listeners:
  - address: 127.0.0.1:4750
  - address: "unix:/run/egret.sock"
senders:
  - name: billing
    credentials: {username: billing, password: {env: BILLING}}
  - name: deploy
    credentials: {token: {env: DEPLOY}}
  - name: crm
    networks: [10.1.0.0/16]
  - name: sidecar
    listeners: ["unix:/run/egret.sock"]
)";

struct Caller {
  std::string_view name;
  Gateway::From from;
  std::string fields;
  std::string_view sender;  // "" and a reason: refused
  std::string_view reason;
  int status = 200;
};

std::string basic(std::string_view credentials) {
  return "Proxy-Authorization: Basic " + text::base64(credentials) + "\r\n";
}

TEST(Senders, AreKnownByWhatTheyStateAndNothingElse) {
  Gateway::environment() = {{"BILLING", "pass:word"}, {"DEPLOY", "t0ken"}};
  const Gateway::From anywhere;
  const Gateway::From crm{.address = "10.1.2.3"};
  const Gateway::From unix_socket{.address = std::nullopt, .listener = "unix:/run/egret.sock"};
  const Caller cases[] = {
      {"Basic", anywhere, basic("billing:pass:word"), "billing", ""},
      {"Bearer", anywhere, "Proxy-Authorization: Bearer t0ken\r\n", "deploy", ""},
      {"scheme in lower case", anywhere, "proxy-authorization: bearer t0ken\r\n", "deploy", ""},
      {"network", crm, "", "crm", ""},
      {"listener, without an address", unix_socket, "", "sidecar", ""},
      {"credentials, over the Unix socket", unix_socket, basic("billing:pass:word"), "billing", ""},
      {"nothing", anywhere, "", "", "credentials_missing", 407},
      {"a wrong password", anywhere, basic("billing:guess"), "", "credentials_wrong", 407},
      {"an empty one", anywhere, "Proxy-Authorization:\r\n", "", "credentials_wrong", 407},
      {"wrong, from a known network", crm, basic("billing:guess"), "", "credentials_wrong", 407},
      {"the token as Basic", anywhere, "Proxy-Authorization: Basic t0ken\r\n", "",
       "credentials_wrong", 407},
      {"two", anywhere, basic("billing:pass:word") + basic("billing:guess"), "", "header_invalid",
       400},
  };
  for (const Caller& each : cases) {
    SCOPED_TRACE(each.name);
    Sandbox gateway(kSenders);
    FarEnd sender = gateway.connect(each.from);
    sender.send(get(each.fields));
    if (each.reason.empty()) {
      const Message request = gateway.destination().take(Kind::request);
      EXPECT_EQ(request.field("Proxy-Authorization"), "");
      EXPECT_EQ(request.head.find("billing"), std::string::npos);
      gateway.destination().send(kOk);
    }
    const Message answer = sender.take(Kind::answer);
    EXPECT_EQ(answer.status(), each.status);
    EXPECT_EQ(answer.problem("reason"), each.reason);
    EXPECT_EQ(answer.count("Proxy-Authenticate"), each.status == 407 ? 2U : 0U);
    EXPECT_EQ(gateway.logged("sender"), each.sender);
    for (const std::string_view secret : {"pass:word", "t0ken", "guess", "Basic", "YmlsbGluZz"}) {
      EXPECT_EQ(gateway.lines().at(0).find(secret), std::string::npos);
      EXPECT_EQ(answer.body.find(secret), std::string::npos);
    }
  }
}

TEST(Paths, HoldHoweverTheyAreSpelt) {
  struct Case {
    std::string_view path;
    std::string_view reason;
  };
  const Case cases[] = {
      {"/admin/x", "rule_denied"},
      {"/%61dmin/x", "rule_denied"},
      {"/x/../admin/x", "rule_denied"},
      {"//admin/x", "url_malformed"},
      {"/x/..%2fadmin/x", "url_malformed"},
      {"/a%5cadmin", "url_malformed"},
      {"/hooks/x", ""},
      {"/hooks/a%20b?x=//", ""},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.path);
    Sandbox gateway("rules: [{name: no, match: {paths: [/admin/*]}, action: deny}]\n");
    FarEnd sender = gateway.connect();
    sender.send("GET http://hooks.acme.io" + std::string(each.path) +
                " HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(gateway.destinations(), each.reason.empty() ? 1U : 0U);
    if (each.reason.empty()) continue;
    EXPECT_EQ(sender.take(Kind::answer).problem("reason"), each.reason);
  }
}

TEST(Log, NeverShowsUserinfo) {
  for (const std::string_view target :
       {"http://admin:s3cr@localhost/", "http://admin:s3cr#t@localhost/",
        "http://admin:s3cr?t@localhost/", "http://admin:s3cr/t@localhost/"}) {
    SCOPED_TRACE(target);
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send("GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n\r\n");
    const Message answer = sender.take(Kind::answer);
    EXPECT_EQ(answer.status(), 400);
    EXPECT_EQ(answer.body.find("s3cr"), std::string::npos) << answer.body;
    EXPECT_EQ(answer.head.find("s3cr"), std::string::npos);
    EXPECT_EQ(gateway.lines().at(0).find("s3cr"), std::string::npos);
    EXPECT_EQ(gateway.logged("verdict"), "malformed");
  }
}

TEST(Senders, AreUnknownWithoutCredentialsToAskFor) {
  Sandbox gateway("senders: [{name: crm, networks: [10.1.0.0/16]}]\n");
  FarEnd sender = gateway.connect();
  sender.send(get());
  const Message answer = sender.take(Kind::answer);
  EXPECT_EQ(answer.status(), 403);
  EXPECT_EQ(answer.problem("reason"), "sender_unknown");
  EXPECT_EQ(answer.count("Proxy-Authenticate"), 0U);
}

TEST(Senders, MayTryAgainOnTheSameConnection) {
  Gateway::environment() = {{"BILLING", "pass:word"}, {"DEPLOY", "t0ken"}};
  Sandbox gateway(kSenders);
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  EXPECT_EQ(sender.take(Kind::answer).status(), 407);
  sender.send(post("x", basic("billing:pass:word")));
  EXPECT_EQ(gateway.destinations(), 1U);
  // Each request says who it is from: the connection remembers nothing.
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  sender.send(post("x"));
  EXPECT_EQ(sender.take(Kind::answer).status(), 407);
}

struct Where {
  std::string_view url;
  std::string_view reason;  // "": allowed
  std::string_view dialled = "";
};

void expect_where(std::string_view yaml, const Where& each) {
  SCOPED_TRACE(each.url);
  Sandbox gateway(yaml);
  gateway.dns.answer("private.acme.io", {"10.0.0.1"});
  gateway.dns.answer("mixed.acme.io", {"93.184.215.14", "10.0.0.1"});
  gateway.dns.answer("mapped.acme.io", {"::ffff:127.0.0.1"});
  gateway.dns.answer("meta.acme.io", {"169.254.169.254"});
  gateway.dns.answer("six.acme.io", {"2606:4700::1111"});
  FarEnd sender = gateway.connect();
  sender.send("GET " + std::string(each.url) + " HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(gateway.connector.dialled(), each.dialled.empty()
                                             ? std::vector<std::string>{}
                                             : std::vector<std::string>{std::string(each.dialled)});
  if (each.dialled.empty()) {
    EXPECT_EQ(sender.take(Kind::answer).problem("reason"), each.reason);
  } else {
    gateway.destination().send(kOk);
    EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  }
  EXPECT_EQ(gateway.logged("reason"), each.reason);
  EXPECT_EQ(gateway.logged("verdict"), !each.dialled.empty()                 ? "allowed"
                                       : each.reason == "host_not_canonical" ? "malformed"
                                                                             : "denied");
}

TEST(Addresses, AreJudgedBeforeAnythingIsDialled) {
  const Where cases[] = {
      {"http://93.184.215.14/", "", "93.184.215.14:80"},
      {"http://six.acme.io/", "", "[2606:4700::1111]:80"},
      {"http://10.0.0.1/", "address_prohibited"},
      {"http://127.0.0.1/", "address_prohibited"},
      {"http://[::1]/", "address_prohibited"},
      {"http://[::ffff:7f00:1]/", "address_prohibited"},
      {"http://[64:ff9b::a00:1]/", "address_prohibited"},
      {"http://169.254.169.254/latest/meta-data", "address_prohibited"},
      {"http://localhost/", "address_prohibited"},
      {"http://deep.localhost/", "address_prohibited"},
      {"http://private.acme.io/", "address_prohibited"},
      {"http://mapped.acme.io/", "address_prohibited"},
      {"http://meta.acme.io/", "address_prohibited"},
      {"http://mixed.acme.io/", "addresses_mixed"},
      {"http://metadata.google.internal/", "host_prohibited"},
      {"http://127.1/", "host_not_canonical"},
      {"http://2130706433/", "host_not_canonical"},
      {"http://%31%32%37.0.0.1/", "host_not_canonical"},
  };
  for (const Where& each : cases) expect_where("", each);
}

TEST(Addresses, MayBeFilteredOrAllowedByARule) {
  expect_where("defaults: {addresses: {mixed: filter}}\n",
               {"http://mixed.acme.io/", "", "93.184.215.14:80"});
  expect_where("defaults: {addresses: {mixed: filter}}\n",
               {"http://private.acme.io/", "address_prohibited"});
  expect_where("defaults: {addresses: {allow: [10.0.0.0/24]}}\n",
               {"http://private.acme.io/", "", "10.0.0.1:80"});
  expect_where("defaults: {addresses: {deny: [93.184.215.0/24]}}\n",
               {"http://93.184.215.14/", "address_prohibited"});
  expect_where("defaults: {addresses: {allow: [127.0.0.1]}}\n",
               {"http://localhost/", "", "127.0.0.1:80"});
}

TEST(Addresses, OfLocalhostAndLiteralsAreNotAskedOfDns) {
  for (const std::string_view host : {"localhost", "a.localhost", "10.0.0.1", "[::1]"}) {
    Sandbox gateway;
    FarEnd sender = gateway.connect();
    sender.send("GET http://" + std::string(host) + "/ HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(sender.take(Kind::answer).status(), 403);
    EXPECT_TRUE(gateway.dns.asked().empty()) << host;
  }
}

// DNS rebinding: what was judged is what is dialled, and the name is not asked a second time.
TEST(Addresses, AreAskedOnceAndDialledAsTheyWereJudged) {
  Sandbox gateway("resolver: {cache: {min_ttl: 1ms, max_ttl: 1ms}}\n");
  gateway.dns.answer("rebind.acme.io", {"93.184.215.14"});
  gateway.dns.answer("rebind.acme.io", {"127.0.0.1"});
  gateway.connector.dialer().script(Sandbox::kEndpoint, {.after = 2s});
  FarEnd sender = gateway.connect();
  sender.send("GET http://rebind.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n");
  gateway.loop.advance(2s);
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  EXPECT_EQ(gateway.dns.queries("rebind.acme.io"), 1U);
  EXPECT_EQ(gateway.connector.dialled(), std::vector<std::string>{"93.184.215.14:80"});

  // The next exchange asks again, is judged again, and gets no kept connection either.
  sender.send("GET http://rebind.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(sender.take(Kind::answer).problem("reason"), "address_prohibited");
  EXPECT_EQ(gateway.dns.queries("rebind.acme.io"), 2U);
  EXPECT_EQ(gateway.destinations(), 1U);
}

TEST(Addresses, AreJudgedFromTheCacheToo) {
  Sandbox gateway;
  gateway.dns.answer("private.acme.io", {"10.0.0.1"});
  FarEnd sender = gateway.connect();
  for (int i = 0; i < 3; ++i) {
    sender.send("GET http://private.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(sender.take(Kind::answer).problem("reason"), "address_prohibited");
  }
  EXPECT_EQ(gateway.dns.queries("private.acme.io"), 1U);
}

TEST(Addresses, AreTriedInTurnWhenSeveralArePermitted) {
  Sandbox gateway;
  gateway.dns.answer("two.acme.io", {"93.184.215.14", "151.101.1.1"});
  gateway.connector.dialer().refuse("93.184.215.14:80");
  FarEnd sender = gateway.connect();
  sender.send("GET http://two.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n");
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  EXPECT_EQ(gateway.logged("address"), "151.101.1.1:80");
}

TEST(ReportMode, LetsPassWhatRulesRefuseAndSaysSo) {
  Sandbox gateway(
      "mode: report\nrules: [{name: never, match: {hosts: [hooks.acme.io]}, action: deny}]\n");
  FarEnd sender = gateway.connect();
  sender.send(get());
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  EXPECT_EQ(gateway.logged("verdict"), "reported");
  EXPECT_EQ(gateway.logged("reason"), "rule_denied");
  EXPECT_EQ(gateway.logged("rule"), "never");
  EXPECT_EQ(gateway.metrics.reported.size(), 1U);
}

TEST(ReportMode, NeverLetsAnAddressPass) {
  Sandbox gateway("mode: report\ndefaults: {action: deny}\n");
  FarEnd sender = gateway.connect();
  sender.send("GET http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(sender.take(Kind::answer).problem("reason"), "address_prohibited");
  EXPECT_EQ(gateway.logged("verdict"), "denied");
  EXPECT_EQ(gateway.logged("reason"), "address_prohibited");
  EXPECT_EQ(gateway.destinations(), 0U);
}

TEST(Refusals, SayWhatAndWhyAsProblemJson) {
  Sandbox gateway("rules: [{name: partners, match: {hosts: [a.acme.io]}, methods: [POST]}]\n");
  FarEnd sender = gateway.connect();
  sender.send("DELETE http://u.a.acme.io@a.acme.io/x HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(sender.take(Kind::answer).status(), 400);
  sender.send("DELETE http://a.acme.io/x?secret=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  const Message answer = sender.take(Kind::answer);
  EXPECT_EQ(answer.status(), 403);
  EXPECT_EQ(answer.field("Content-Type"), "application/problem+json");
  EXPECT_EQ(answer.problem("type"), "urn:egret:reason:method_prohibited");
  EXPECT_EQ(answer.problem("title"), "The method is not allowed");
  EXPECT_EQ(answer.problem("status"), "403");
  EXPECT_EQ(answer.problem("rule"), "partners");
  EXPECT_EQ(answer.problem("destination"), "http://a.acme.io/x");
  EXPECT_EQ(answer.problem("request_id"), gateway.logged("request_id"));
  EXPECT_NE(answer.problem("detail"), "");
  EXPECT_EQ(answer.field("Proxy-Status").rfind("egret; error=http_request_denied; details=\"", 0),
            0U);
  EXPECT_EQ(answer.body.find("secret"), std::string::npos);
  EXPECT_EQ(gateway.lines().back().find("secret"), std::string::npos);
}

TEST(Refusals, HideAddressesFromTheAnswerButNotFromTheLog) {
  Sandbox gateway("log: {detail: minimal}\n");
  gateway.dns.answer("private.acme.io", {"10.9.8.7"});
  FarEnd sender = gateway.connect();
  sender.send("GET http://private.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string got = sender.received();
  EXPECT_EQ(got.find("10.9.8.7"), std::string::npos) << got;
  EXPECT_EQ(got.find("10.0.0.0"), std::string::npos) << got;
  const Message answer = sender.take(Kind::answer);
  EXPECT_EQ(answer.problem("reason"), "address_prohibited");
  EXPECT_EQ(answer.field("Proxy-Status"), "egret; error=destination_ip_prohibited");
  EXPECT_NE(gateway.logged("detail").find("10.9.8.7"), std::string::npos);
}

}  // namespace
}  // namespace egret::proxy
