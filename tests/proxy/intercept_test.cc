// connect: intercept. What is inside a tunnel is an ordinary exchange, to the tunnel's host only.

#include <gtest/gtest.h>

#include "tests/support/proxy_tls.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::FarEnd;
using test::Kind;
using test::kOk;
using test::Message;
using test::Sandbox;
using test::TestCa;
using test::TlsFarEnd;
using test::TlsPeer;

constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection Established\r\n\r\n";

std::string intercepting(std::string_view more = {}) {
  test::Gateway::environment()["TEST_CA_KEY"] = TestCa::get().pair().private_key.reveal();
  return "interception: {ca_certificate: TEST_CA, ca_key: TEST_CA_KEY}\n"
         "defaults:\n  connect: intercept\n  " +
         test::trusting_the_test_ca() + "\n" + std::string(more);
}

std::string inner(std::string_view host, std::string_view target = "/in") {
  return "POST " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) +
         "\r\nContent-Length: 2\r\n\r\nhi";
}

// Who lives in the gateway's time, which its certificates are made in.
TlsPeer client(Sandbox& gateway, std::string_view name) {
  TlsPeer peer = TlsPeer::client(name);
  peer.set_time(std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(
          gateway.loop.clock().wall())));
  return peer;
}

// A sender in a tunnel that is open.
struct Tunnelled {
  explicit Tunnelled(Sandbox& gateway, std::string_view fields = {},
                     std::string_view authority = "hooks.acme.io:443")
      : far(gateway.connect()), host(authority.substr(0, authority.rfind(':'))) {
    far.send("CONNECT " + std::string(authority) + " HTTP/1.1\r\nHost: x\r\n" +
             std::string(fields) + "\r\n");
    EXPECT_EQ(far.received(), kEstablished);
    far.received().clear();
    inside.emplace(far, client(gateway, host));
    EXPECT_TRUE(inside->peer().ready());
  }
  TlsFarEnd& operator*() { return *inside; }
  TlsFarEnd* operator->() { return &*inside; }
  FarEnd far;
  std::string host;
  std::optional<TlsFarEnd> inside;
};

TEST(Intercept, DeliversWhatIsInsideAndKeepsTheTunnel) {
  Sandbox gateway(intercepting());
  Tunnelled sender(gateway);
  EXPECT_TRUE(gateway.connector.dialled().empty()) << "only a request is a reason to dial";
  EXPECT_EQ(gateway.logged("method"), "CONNECT");
  EXPECT_EQ(gateway.logged("status"), "200");
  std::optional<TlsFarEnd> destination;
  for (int i = 0; i < 3; ++i) {
    SCOPED_TRACE(i);
    sender->send(inner("hooks.acme.io"));
    if (!destination) destination.emplace(gateway.destination(), TlsPeer::server(Sandbox::kHost));
    const Message request = destination->take(Kind::request);
    EXPECT_EQ(request.start, "POST /in HTTP/1.1");
    EXPECT_EQ(request.field("Host"), "hooks.acme.io");
    EXPECT_EQ(request.body, "hi");
    destination->send(kOk);
    const Message answer = sender->take(Kind::answer);
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.field("Proxy-Status"), "egret; received-status=200");
    EXPECT_EQ(gateway.logged("destination"), "https://hooks.acme.io/in");
  }
  EXPECT_EQ(gateway.destinations(), 1U);
  sender->peer().close();
  sender->pump();
  sender.far.close();
  gateway.expect_at_rest();
}

struct Refused {
  std::string_view what;
  std::string request;
  int status;
  std::string_view reason;
};

TEST(Intercept, LetsNobodyOutToAnotherHost) {
  const Refused cases[] = {
      {"another host", inner("evil.example"), 421, "authority_mismatch"},
      {"another port", inner("hooks.acme.io:8443"), 421, "authority_mismatch"},
      {"no port is the scheme's, not http's", inner("hooks.acme.io:80"), 421, "authority_mismatch"},
      {"another URL", inner("hooks.acme.io", "https://evil.example/"), 421, "authority_mismatch"},
      {"the URL without TLS", inner("hooks.acme.io", "http://hooks.acme.io:443/"), 421,
       "authority_mismatch"},
      {"a host of two readings", inner("0x7f.1"), 400, "host_not_canonical"},
      {"Egret-Target",
       "GET / HTTP/1.1\r\nHost: hooks.acme.io\r\nEgret-Target: https://evil.example/\r\n\r\n", 400,
       "header_invalid"},
      {"Egret-Scheme", "GET / HTTP/1.1\r\nHost: hooks.acme.io\r\nEgret-Scheme: http\r\n\r\n", 400,
       "header_invalid"},
      {"a tunnel in the tunnel", "CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", 403,
       "connect_prohibited"},
      {"a WebSocket",
       "GET / HTTP/1.1\r\nHost: hooks.acme.io\r\nConnection: Upgrade\r\nUpgrade: "
       "websocket\r\n\r\n",
       501, "upgrade_not_supported"},
      {"no HTTP", "\x01\x02\x03", 400, "request_malformed"},
  };
  for (const Refused& each : cases) {
    SCOPED_TRACE(each.what);
    Sandbox gateway(intercepting());
    Tunnelled sender(gateway);
    sender->send(each.request);
    const Message answer = sender->take(Kind::answer);
    EXPECT_EQ(answer.status(), each.status) << answer.head << answer.body;
    EXPECT_EQ(answer.problem("reason"), each.reason);
    EXPECT_EQ(gateway.logged("reason"), each.reason);
    EXPECT_TRUE(gateway.connector.dialled().empty());
  }
}

TEST(Intercept, TakesTheTunnelsOwnNameInEverySpelling) {
  for (const std::string& request : {inner("hooks.acme.io:443"), inner("HOOKS.acme.io."),
                                     inner("hooks.acme.io", "https://hooks.acme.io/in"),
                                     inner("hooks.acme.io", "https://hooks.acme.io:443/in")}) {
    SCOPED_TRACE(request);
    Sandbox gateway(intercepting());
    Tunnelled sender(gateway);
    sender->send(request);
    EXPECT_EQ(gateway.destinations(), 1U);
  }
}

TEST(Intercept, AnswersReadablyWhatATunnelIsRefusedFor) {
  Sandbox gateway(intercepting());
  gateway.dns.answer("inside.acme.io", {"10.0.0.7"});
  FarEnd sender = gateway.connect();
  sender.send("CONNECT inside.acme.io:443 HTTP/1.1\r\nHost: x\r\n\r\n");
  test::expect_refused(gateway, sender, 403, "address_prohibited", "destination_ip_prohibited");
}

TEST(Intercept, JudgesEachRequestByItsOwnRule) {
  Sandbox gateway(
      intercepting("rules:\n"
                   "  - name: closed\n"
                   "    match: {paths: [\"/admin/*\"]}\n"
                   "    action: deny\n"));
  Tunnelled sender(gateway);
  sender->send(inner("hooks.acme.io", "/admin/x"));
  const Message answer = sender->take(Kind::answer);
  EXPECT_EQ(answer.status(), 403);
  EXPECT_EQ(answer.problem("rule"), "closed");
  sender->send(inner("hooks.acme.io", "/in"));
  EXPECT_EQ(gateway.destinations(), 1U);
}

TEST(Intercept, KnowsTheSenderByItsConnect) {
  test::Gateway::environment()["INNER_PASSWORD"] = "swordfish";
  const std::string yaml =
      "senders:\n"
      "  - name: billing\n"
      "    credentials: {username: billing, password: {env: INNER_PASSWORD}}\n" +
      intercepting();
  Sandbox gateway(yaml);
  Tunnelled sender(gateway, "Proxy-Authorization: Basic YmlsbGluZzpzd29yZGZpc2g=\r\n");
  sender->send(inner("hooks.acme.io"));
  TlsFarEnd destination(gateway.destination(), TlsPeer::server(Sandbox::kHost));
  destination.send(kOk);
  EXPECT_EQ(sender->take(Kind::answer).status(), 200);
  EXPECT_EQ(gateway.logged("sender"), "billing");
  // Nobody else's by now.
  gateway.reload("senders:\n  - {name: crm, networks: [203.0.113.0/24]}\n" + intercepting());
  sender->send(inner("hooks.acme.io"));
  EXPECT_EQ(sender->take(Kind::answer).problem("reason"), "sender_unknown");
}

TEST(Intercept, EndsWithTheCredentialsThatOpenedIt) {
  const auto yaml = [](std::string_view password) {
    return "senders:\n  - name: billing\n    credentials: {username: billing, password: {env: " +
           std::string(password) + "}}\n" + intercepting();
  };
  test::Gateway::environment()["INNER_PASSWORD"] = "swordfish";
  test::Gateway::environment()["INNER_CHANGED"] = "shark";
  Sandbox gateway(yaml("INNER_PASSWORD"));
  Tunnelled sender(gateway, "Proxy-Authorization: Basic YmlsbGluZzpzd29yZGZpc2g=\r\n");
  gateway.reload(yaml("INNER_CHANGED"));
  sender->send(inner("hooks.acme.io"));
  EXPECT_EQ(sender->take(Kind::answer).problem("reason"), "sender_unknown");
}

TEST(Intercept, EndsAfterTimeoutsTunnel) {
  Sandbox gateway(intercepting("  timeouts: {tunnel: 3s, idle: 10s}\n"));
  Tunnelled sender(gateway);
  gateway.loop.advance(2s);
  EXPECT_FALSE(sender.far.ended());
  gateway.loop.advance(1s);
  sender->pump();
  EXPECT_TRUE(sender.far.ended());
  gateway.expect_at_rest();
}

TEST(Intercept, SaysWhenTheSenderDoesNotTrustTheCa) {
  Sandbox gateway(intercepting());
  FarEnd sender = gateway.connect();
  sender.send(test::connect_request());
  sender.received().clear();
  TlsFarEnd inside(sender, TlsPeer::distrustful_client(Sandbox::kHost));
  EXPECT_FALSE(inside.peer().error().empty());
  sender.close();
  gateway.loop.advance(10s);
  EXPECT_EQ(gateway.logged("reason"), "interception_refused");
  EXPECT_NE(gateway.logged("detail").find("egret ca show"), std::string::npos);
  gateway.expect_at_rest();
}

TEST(Intercept, RefusesAnotherServerName) {
  Sandbox gateway(intercepting());
  FarEnd sender = gateway.connect();
  sender.send(test::connect_request());
  sender.received().clear();
  TlsFarEnd inside(sender, client(gateway, "evil.example"));
  EXPECT_NE(inside.peer().error().find("unrecognized name"), std::string::npos)
      << inside.peer().error();
  EXPECT_EQ(gateway.logged("reason"), "sender_tls_failed");
}

TEST(Intercept, TakesAClientHelloThatCameWithTheConnect) {
  Sandbox gateway(intercepting());
  FarEnd sender = gateway.connect();
  TlsPeer early = client(gateway, Sandbox::kHost);
  sender.send(test::connect_request() + early.take());
  ASSERT_TRUE(sender.received().starts_with(kEstablished));
  sender.received().erase(0, kEstablished.size());
  TlsFarEnd inside(sender, std::move(early));
  EXPECT_TRUE(inside.peer().ready());
  inside.send(inner("hooks.acme.io"));
  EXPECT_EQ(gateway.destinations(), 1U);
}

TEST(Intercept, EndsATunnelWhoseSenderIsSilent) {
  Sandbox gateway(intercepting());
  FarEnd sender = gateway.connect();
  sender.send(test::connect_request());
  gateway.loop.advance(5s);
  EXPECT_EQ(gateway.logged("reason"), "sender_tls_failed");
  gateway.loop.advance(10s);
  EXPECT_TRUE(sender.ended());
  gateway.expect_at_rest();
}

TEST(Intercept, EndsIdleTunnelsWhenEgretDrains) {
  Sandbox gateway(intercepting());
  Tunnelled sender(gateway);
  gateway.drain();
  sender->pump();
  EXPECT_TRUE(sender->peer().closed());
  gateway.expect_at_rest();
}

}  // namespace
}  // namespace egret::proxy
