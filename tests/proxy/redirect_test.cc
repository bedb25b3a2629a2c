// Redirects that a rule follows: every hop is another verdict, name, connection and request.

#include <gtest/gtest.h>

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

constexpr std::string_view kAny = "defaults: {redirects: {follow: any}}";

std::string redirect(std::string_view to, int status = 307) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nLocation: " + std::string(to) +
         "\r\nContent-Length: 0\r\n\r\n";
}

// As kAny, with two more public hosts.
struct World : Sandbox {
  explicit World(std::string_view yaml = kAny) : Sandbox(yaml) {
    dns.answer("other.acme.io", {"93.184.215.20"});
    dns.answer("third.acme.io", {"93.184.215.30"});
  }
};

TEST(Redirect, IsTheAnswerUnlessTheRuleFollows) {
  for (const std::string_view yaml : {"{}", "defaults: {redirects: {follow: never}}"}) {
    World gateway(yaml);
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.destination().send(redirect("http://169.254.169.254/"));
    const Message got = sender.take(Kind::answer);
    EXPECT_EQ(got.status(), 307);
    EXPECT_EQ(got.field("Location"), "http://169.254.169.254/");
    EXPECT_EQ(gateway.logged("success"), "false") << "a failure for whoever counts";
    EXPECT_EQ(gateway.destinations(), 1U);
  }
}

TEST(Redirect, EntersNoAddressThatTheFirstRuleMayNotReach) {
  World gateway(
      "defaults: {redirects: {follow: any}}\n"
      "rules: [{name: inside, match: {hosts: [billing.acme.io]}, addresses: {allow: "
      "[10.0.0.0/8]}}]\n");
  gateway.dns.answer("billing.acme.io", {"10.0.0.7"});
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination().send(redirect("http://billing.acme.io/admin"));
  const Message got = sender.take(Kind::answer);
  EXPECT_EQ(got.status(), 403);
  EXPECT_EQ(got.problem("reason"), "address_prohibited");
  EXPECT_EQ(gateway.destinations(), 1U);
}

TEST(Redirect, RepeatsMethodAndContentAtTheNextHost) {
  for (const int status : {307, 308}) {
    World gateway;
    FarEnd sender = gateway.connect();
    sender.send(post("hello", "X-Event: paid\r\n"));
    gateway.destination(0).send(redirect("http://other.acme.io/moved?a=b#part", status));
    const Message again = gateway.destination(1).take(Kind::request);
    EXPECT_EQ(again.start, "POST /moved?a=b HTTP/1.1");
    EXPECT_EQ(again.field("Host"), "other.acme.io");
    EXPECT_EQ(again.field("X-Event"), "paid");
    EXPECT_EQ(again.body, "hello");
    EXPECT_EQ(sender.received(), "");
    gateway.destination(1).send(kOk);
    const Message got = sender.take(Kind::answer);
    EXPECT_EQ(got.status(), 200);
    EXPECT_EQ(got.field("Egret-Attempts"), "1");
    EXPECT_EQ(gateway.logged("redirects"), "1");
    EXPECT_EQ(gateway.logged("address"), "93.184.215.20:80");
    EXPECT_EQ(gateway.metrics.redirects_followed, 1U);
    sender.close();
    gateway.expect_at_rest();
  }
}

TEST(Redirect, NeverTurnsAPostIntoAGet) {
  for (const int status : {300, 301, 302, 303, 304, 305}) {
    SCOPED_TRACE(status);
    World gateway;
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.destination().send(redirect("http://other.acme.io/", status));
    EXPECT_EQ(sender.take(Kind::answer).status(), status);
    EXPECT_EQ(gateway.destinations(), 1U);
  }
}

TEST(Redirect, OfAGetIsFollowedAsAGet) {
  for (const int status : {301, 302, 303, 307, 308}) {
    World gateway;
    FarEnd sender = gateway.connect();
    sender.send(test::get());
    gateway.destination(0).send(redirect("//other.acme.io/x", status));
    EXPECT_EQ(gateway.destination(1).take(Kind::request).start, "GET /x HTTP/1.1");
  }
}

TEST(Redirect, ToARefusedPlaceIsRefusedAndNotDialled) {
  struct Case {
    std::string_view to;
    int status;
    std::string_view reason;
    std::string_view token;
  };
  const Case cases[] = {
      {"http://169.254.169.254/latest/meta-data/", 403, "address_prohibited",
       "destination_ip_prohibited"},
      {"http://[::ffff:10.0.0.1]/", 403, "address_prohibited", "destination_ip_prohibited"},
      {"http://localhost/", 403, "address_prohibited", "destination_ip_prohibited"},
      {"http://inside.acme.io/", 403, "address_prohibited", "destination_ip_prohibited"},
      {"http://metadata.google.internal/", 403, "host_prohibited", "http_request_denied"},
      {"http://other.acme.io:22/", 403, "port_prohibited", "http_request_denied"},
      {"http://0x7f.1/", 502, "redirect_malformed", "http_protocol_error"},
      {"http://user:pw@other.acme.io/", 502, "redirect_malformed", "http_protocol_error"},
      {"http://other.acme.io /", 502, "redirect_malformed", "http_protocol_error"},
      {"file:///etc/passwd", 502, "redirect_scheme_unsupported", "http_protocol_error"},
      {"gopher://other.acme.io/", 502, "redirect_scheme_unsupported", "http_protocol_error"},
      {"/in", 508, "redirect_loop", "proxy_loop_detected"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.to);
    World gateway;
    gateway.dns.answer("inside.acme.io", {"10.1.2.3"});
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.destination().send(redirect(each.to));
    test::expect_refused(gateway, sender, each.status, each.reason, each.token);
    EXPECT_EQ(gateway.destinations(), 1U);
    sender.close();
    gateway.loop.advance(3s);
    gateway.expect_at_rest();
  }
}

TEST(Redirect, LeavesCredentialsBehindWhenItLeavesTheOrigin) {
  World gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("x",
                   "Authorization: Bearer t\r\nCookie: a=b\r\nX-Api-Key: k\r\nX_Api_Key: k\r\n"
                   "X-Public: p\r\nEgret-Sensitive: x-api-key, X-None\r\n"));
  const Message first = gateway.destination(0).take(Kind::request);
  EXPECT_EQ(first.field("Authorization"), "Bearer t");
  EXPECT_EQ(first.field("X-Api-Key"), "k");
  EXPECT_EQ(first.field("Egret-Sensitive"), "");

  gateway.destination(0).send(redirect("/same"));
  const Message same = gateway.destination(0).take(Kind::request);
  EXPECT_EQ(same.start, "POST /same HTTP/1.1");
  EXPECT_EQ(same.field("Authorization"), "Bearer t");
  EXPECT_EQ(same.field("X-Api-Key"), "k");

  gateway.destination(0).send(redirect("http://other.acme.io/"));
  const Message other = gateway.destination(1).take(Kind::request);
  for (const std::string_view name :
       {"Authorization", "Cookie", "X-Api-Key", "X_Api_Key", "Egret-Sensitive"}) {
    EXPECT_EQ(other.field(name), "") << name;
  }
  EXPECT_EQ(other.field("X-Public"), "p");

  // What was left behind does not come back with the next hop, home or not.
  gateway.destination(1).send(redirect("http://hooks.acme.io/back"));
  const Message back = gateway.destination(0).take(Kind::request);
  EXPECT_EQ(back.start, "POST /back HTTP/1.1");
  EXPECT_EQ(back.field("Authorization"), "");
}

TEST(Redirect, MarksThatAreNoFieldNamesAreRefused) {
  std::string many = "a";
  for (int i = 0; i < 100; ++i) many += ",a";
  for (const std::string& marks : {std::string("X Api Key"), std::string("x-api-key; q"), many}) {
    World gateway;
    FarEnd sender = gateway.connect();
    sender.send(post("x", "Egret-Sensitive: " + marks + "\r\n"));
    test::expect_refused(gateway, sender, 400, "header_invalid", "http_request_error");
    EXPECT_EQ(gateway.destinations(), 0U);
  }
}

TEST(Redirect, WithinItsScopeOnly) {
  struct Case {
    std::string_view follow;
    std::string_view to;
    bool followed;
  };
  const Case cases[] = {
      {"same-origin", "/x", true},
      {"same-origin", "http://hooks.acme.io:80/x", true},
      {"same-origin", "http://hooks.acme.io:443/x", false},
      {"same-origin", "http://other.acme.io/x", false},
      {"same-host", "http://hooks.acme.io:443/x", true},
      {"same-host", "http://other.acme.io/x", false},
      {"any", "http://other.acme.io/x", true},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(std::string(each.follow) + " " + std::string(each.to));
    World gateway("defaults: {redirects: {follow: " + std::string(each.follow) + "}}");
    FarEnd sender = gateway.connect();
    sender.send(post("x"));
    gateway.destination().send(redirect(each.to));
    if (each.followed) {
      EXPECT_EQ(sender.received(), "");
    } else {
      EXPECT_EQ(sender.take(Kind::answer).status(), 307);
    }
  }
}

TEST(Redirect, IsFollowedUpToTheMost) {
  World gateway("defaults: {redirects: {follow: any, max: 2}}");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination(0).send(redirect("/1"));
  gateway.destination(0).send(redirect("/2"));
  gateway.destination(0).send(redirect("/3"));
  test::expect_refused(gateway, sender, 502, "redirect_limit", "http_protocol_error");
  EXPECT_EQ(gateway.logged("redirects"), "2");
}

TEST(Redirect, IsJudgedByTheRuleThatTakesTheNextUrl) {
  World gateway(R"(
rules:
  - {name: start, match: {hosts: [hooks.acme.io]}, redirects: {follow: any}}
  - {name: closed, match: {hosts: [other.acme.io]}, action: deny}
  - {name: small, match: {hosts: [third.acme.io]}, limits: {request_body: 4B}}
)");
  FarEnd sender = gateway.connect();
  sender.send(post("hello"));
  gateway.destination().send(redirect("http://other.acme.io/"));
  test::expect_refused(gateway, sender, 403, "rule_denied", "http_request_denied");
  FarEnd second = gateway.connect();
  second.send(post("hello"));
  gateway.destination().send(redirect("http://third.acme.io/"));
  test::expect_refused(gateway, second, 413, "request_body_too_large", "http_request_error");
  EXPECT_EQ(gateway.destinations(), 1U) << "the first host alone was dialled, and kept";
}

TEST(Redirect, HoldsAPlaceAtTheHostWhereItIsNow) {
  World gateway(R"(
defaults: {redirects: {follow: any}, limits: {in_flight_per_host: 1}}
)");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination(0).send(redirect("http://other.acme.io/"));
  FarEnd another = gateway.connect();
  another.send(post("y"));
  EXPECT_EQ(another.received(), "") << "the first has left that host";
  FarEnd refused = gateway.connect();
  refused.send("POST http://other.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  test::expect_refused(gateway, refused, 429, "in_flight_limit", "connection_limit_reached");
}

TEST(Redirect, AndRetryGoOnFromWhereItLed) {
  World gateway(R"(
defaults:
  redirects: {follow: any}
  retry: {attempts: 2, on: [503], backoff: {initial: 100ms, jitter: 0%}}
)");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination(0).send(redirect("http://other.acme.io/moved"));
  gateway.destination(1).take(Kind::request);
  gateway.destination(1).send("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n");
  gateway.loop.advance(100ms);
  EXPECT_EQ(gateway.destination(1).take(Kind::request).start, "POST /moved HTTP/1.1");
  gateway.destination(1).send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).field("Egret-Attempts"), "2");
}

TEST(Redirect, KeepsAConnectionOnlyWhenNothingIsBehindTheAnswer) {
  for (const std::string_view behind : {"", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"}) {
    World gateway;
    FarEnd sender = gateway.connect();
    sender.send("HEAD http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\n\r\n");
    gateway.destination(0).send("HTTP/1.1 307 X\r\nLocation: /moved\r\nContent-Length: 0\r\n\r\n" +
                                std::string(behind));
    EXPECT_EQ(gateway.destinations(), behind.empty() ? 1U : 2U);
    FarEnd& second = gateway.destination(behind.empty() ? 0 : 1);
    second.send("HTTP/1.1 204 Good\r\n\r\n");
    EXPECT_EQ(sender.take(Kind::answer_to_head).status(), 204);
  }
}

TEST(Redirect, SaysWhereItHadLedWhenItFails) {
  World gateway;
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.destination().send(redirect("http://10.0.0.1/x?secret"));
  EXPECT_EQ(sender.take(Kind::answer)
                .problem("detail")
                .rfind("After a redirect to http://10.0.0.1/x: The address 10.0.0.1 is refused", 0),
            0U);
}

TEST(Redirect, SharesTheTotalTime) {
  World gateway("defaults: {redirects: {follow: any}, timeouts: {total: 5s, response: 4s}}");
  FarEnd sender = gateway.connect();
  sender.send(post("x"));
  gateway.loop.advance(3s);
  gateway.destination(0).send(redirect("http://other.acme.io/"));
  gateway.loop.advance(2s);
  test::expect_refused(gateway, sender, 504, "total_timeout", "http_response_timeout");
}

}  // namespace
}  // namespace egret::proxy
