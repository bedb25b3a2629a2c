// https: the ways in, what is kept, and what is refused.

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
using test::TlsFarEnd;
using test::TlsPeer;
using test::trusting_the_test_ca;

std::string defaults(std::string_view more = {}) {
  return "defaults:\n  " + trusting_the_test_ca() + "\n" + std::string(more);
}

constexpr std::string_view kHttps =
    "GET https://hooks.acme.io/in HTTP/1.1\r\nHost: hooks.acme.io\r\n\r\n";

TlsFarEnd secured(Sandbox& gateway, size_t index = 0, std::string_view as = Sandbox::kHost) {
  return {gateway.destination(index), TlsPeer::server(as)};
}

struct Way {
  std::string_view what;
  std::string_view yaml;
  std::string_view request;
  std::string_view dialled;
};

TEST(Https, IsWhatEveryWayInLeadsTo) {
  const Way ways[] = {
      {"the URL", "", kHttps, "93.184.215.14:443"},
      {"Egret-Scheme", "",
       "GET http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nEgret-Scheme: https\r\n\r\n",
       "93.184.215.14:443"},
      {"Egret-Scheme, a port of its own", "  ports: [8443]\n",
       "GET http://hooks.acme.io:8443/in HTTP/1.1\r\nHost: x\r\nEgret-Scheme: HTTPS\r\n\r\n",
       "93.184.215.14:8443"},
      {"Egret-Target", "",
       "GET / HTTP/1.1\r\nHost: x\r\nEgret-Target: https://hooks.acme.io/in\r\n\r\n",
       "93.184.215.14:443"},
      {"the rule", "  scheme: https\n", "GET http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\n\r\n",
       "93.184.215.14:443"},
      {"the rule, which allows no other port", "  scheme: https\n  ports: [443]\n",
       "GET http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\n\r\n", "93.184.215.14:443"},
      {"https-only", "  scheme: https-only\n", kHttps, "93.184.215.14:443"},
  };
  for (const Way& way : ways) {
    SCOPED_TRACE(way.what);
    Sandbox gateway(defaults(way.yaml));
    FarEnd sender = gateway.connect();
    sender.send(way.request);
    ASSERT_EQ(gateway.connector.dialled(), std::vector<std::string>{std::string(way.dialled)});
    TlsFarEnd destination = secured(gateway);
    const Message request = destination.take(Kind::request);
    EXPECT_EQ(request.start, "GET /in HTTP/1.1");
    EXPECT_EQ(request.field("Egret-Scheme"), "");
    destination.send(kOk);
    EXPECT_EQ(sender.take(Kind::answer).body, "ok");
    EXPECT_TRUE(gateway.logged("destination").starts_with("https://hooks.acme.io"));
    EXPECT_EQ(gateway.metrics.tls_full, 1U);
    sender.close();
    gateway.expect_at_rest();
  }
}

TEST(Https, NeedsAnHttpsUrlUnderHttpsOnly) {
  Sandbox gateway(defaults("  scheme: https-only\n"));
  FarEnd sender = gateway.connect();
  sender.send(test::get());
  test::expect_refused(gateway, sender, 403, "scheme_prohibited", "http_request_denied");
  EXPECT_TRUE(gateway.connector.dialled().empty());
}

TEST(Https, IsJudgedAsHttpIs) {
  Sandbox gateway(defaults());
  gateway.dns.answer("inside.acme.io", {"10.0.0.7"});
  FarEnd sender = gateway.connect();
  sender.send("GET https://inside.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n");
  test::expect_refused(gateway, sender, 403, "address_prohibited", "destination_ip_prohibited");
  EXPECT_TRUE(gateway.connector.dialled().empty());
}

TEST(Https, KeepsAConnectionForTheNameItWasMadeFor) {
  Sandbox gateway(defaults());
  gateway.dns.answer("other.acme.io", {std::string(Sandbox::kAddress)});
  FarEnd sender = gateway.connect();
  sender.send(kHttps);
  TlsFarEnd destination = secured(gateway);
  destination.send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  sender.send(kHttps);
  EXPECT_EQ(gateway.destinations(), 1U);
  (void)destination.take(Kind::request);
  EXPECT_EQ(destination.take(Kind::request).start, "GET /in HTTP/1.1");
  destination.send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  EXPECT_EQ(gateway.metrics.upstream_reused, 1U);

  sender.send("GET https://other.acme.io/ HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(gateway.destinations(), 2U) << "the same address, another name";
  sender.close();
  FarEnd plain = gateway.connect();
  plain.send("GET http://hooks.acme.io:443/ HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(gateway.destinations(), 3U) << "the same name, without TLS";
}

TEST(Https, KeepsNoConnectionThatAReloadHasOvertaken) {
  Sandbox gateway(defaults());
  FarEnd sender = gateway.connect();
  sender.send(kHttps);
  TlsFarEnd destination = secured(gateway);
  gateway.reload(defaults());
  destination.send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  EXPECT_EQ(gateway.pool.size(), 0U);
}

TEST(Https, SendsNothingToWhoProvesToBeAnother) {
  Sandbox gateway(defaults());
  FarEnd sender = gateway.connect();
  sender.send(kHttps);
  TlsFarEnd destination = secured(gateway, 0, "evil.example");
  EXPECT_EQ(destination.received(), "");
  EXPECT_EQ(gateway.logged("reason"), "tls_certificate_error");
  test::expect_refused(gateway, sender, 502, "tls_certificate_error", "tls_certificate_error");
  EXPECT_EQ(gateway.destinations(), 1U) << "not tried again";
}

struct Handshake {
  std::string_view what;
  std::string_view bytes;
  std::string_view yaml;
  Duration wait;
  int status;
  std::string_view reason;
  std::string_view token;
};

TEST(Https, SaysWhatBecameOfAHandshake) {
  const Handshake cases[] = {
      {"plain HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "", 0s, 502, "tls_protocol_error",
       "tls_protocol_error"},
      {"an alert",
       {"\x15\x03\x03\x00\x02\x02\x28", 7},
       "",
       0s,
       502,
       "tls_alert_received",
       "tls_alert_received"},
      {"silence", "", "", 5s, 504, "tls_timeout", "connection_timeout"},
      {"silence until all time is up", "", "  timeouts: {total: 3s, tls: 10s}\n", 3s, 504,
       "total_timeout", "http_response_timeout"},
  };
  for (const Handshake& each : cases) {
    SCOPED_TRACE(each.what);
    Sandbox gateway(defaults(each.yaml));
    FarEnd sender = gateway.connect();
    sender.send(kHttps);
    if (!each.bytes.empty()) gateway.destination().send(each.bytes);
    gateway.loop.advance(each.wait);
    test::expect_refused(gateway, sender, each.status, each.reason, each.token);
    EXPECT_EQ(gateway.destinations(), 1U);
  }
}

// TLS 1.3: the server says what it thinks of the client only after the client's handshake is done.
TEST(Https, KnowsAnAlertThatComesInThePlaceOfAnAnswer) {
  Sandbox gateway(defaults());
  FarEnd sender = gateway.connect();
  sender.send(kHttps);
  TlsPeer peer = TlsPeer::server(Sandbox::kHost);
  SSL_set_verify(peer.ssl(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  TlsFarEnd destination(gateway.destination(), std::move(peer));
  test::expect_refused(gateway, sender, 502, "tls_alert_received", "tls_alert_received");
  EXPECT_EQ(gateway.destinations(), 1U) << "not tried again";
}

TEST(Https, TakesAnAnswerThatIsCutForNoAnswer) {
  for (const bool announced : {true, false}) {
    SCOPED_TRACE(announced);
    Sandbox gateway(defaults());
    FarEnd sender = gateway.connect();
    sender.send(kHttps);
    TlsFarEnd destination = secured(gateway);
    destination.send("HTTP/1.1 200 OK\r\n\r\npart");
    if (announced) destination.peer().close();
    destination.pump();
    destination.far().finish();
    EXPECT_EQ(sender.was_reset(), !announced);
    EXPECT_EQ(gateway.logged("reason"), announced ? "" : "connection_terminated");
  }
}

TEST(Https, PassesALargeAnswerAndALargeRequest) {
  Sandbox gateway(defaults());
  FarEnd sender = gateway.connect();
  const std::string body(100'000, 'b');
  sender.send(
      "POST https://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + body);
  TlsFarEnd destination = secured(gateway);
  EXPECT_EQ(destination.take(Kind::request).body, body);
  destination.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body);
  destination.pump();
  EXPECT_EQ(sender.take(Kind::answer).body, body);
  sender.close();
  gateway.expect_at_rest();
}

}  // namespace
}  // namespace egret::proxy
