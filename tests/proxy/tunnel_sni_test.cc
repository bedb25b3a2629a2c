// CONNECT under `tunnel_sni: match`: the destination gets nothing before the sender has said, in
// TLS, that it wants to go there.

#include <gtest/gtest.h>

#include "proxy/tls/client_hello.h"
#include "tests/support/client_hello.h"
#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::client_hello;
using test::client_hello_message;
using test::connect_request;
using test::FarEnd;
using test::Sandbox;
using test::sni_extension;
using test::tls_extension;
using test::tls_records;

constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection Established\r\n\r\n";
constexpr std::string_view kAlert("\x15\x03\x03\x00\x02\x02\x70", 7);
constexpr size_t kEch = 0xfe0d;
constexpr size_t kPadding = 21;

struct SniSandbox : Sandbox {
  explicit SniSandbox(std::string_view yaml = {}) : Sandbox(yaml) {
    config::Settings changed = *services.policy->settings;
    changed.defaults.tunnel_sni = policy::TunnelSni::match;
    services.policy = std::make_shared<const Policy>(
        std::make_shared<const config::Settings>(changed), std::vector<policy::Endpoint>(), labels);
  }
  // A tunnel that is open, with `early` behind its CONNECT.
  FarEnd open(std::string_view authority = "hooks.acme.io:443", std::string_view early = {}) {
    FarEnd sender = connect();
    sender.send(connect_request(authority).append(early));
    EXPECT_TRUE(sender.received().starts_with(kEstablished));
    sender.received().erase(0, kEstablished.size());
    return sender;
  }
  // The destination was told nothing but that it is over.
  void expect_nothing_went() {
    EXPECT_EQ(destination().received(), "");
    EXPECT_EQ(destination().peer().transcript(), "");
    EXPECT_TRUE(destination().ended());
    EXPECT_EQ(logged("request_bytes"), "0");
  }
};

struct Case {
  std::string_view name;
  std::string_view authority;
  std::string hello;
};

TEST(TunnelSni, LetsAHelloForItsHostPassUnaltered) {
  const std::string message = client_hello_message(sni_extension("hooks.acme.io"));
  const std::string ech = tls_extension(kEch, "grease");
  const Case cases[] = {
      {"the name", "hooks.acme.io:443", client_hello("hooks.acme.io")},
      {"upper case", "hooks.acme.io:443", client_hello("HOOKS.acme.IO")},
      {"upper case in the CONNECT", "Hooks.Acme.io:443", client_hello("hooks.acme.io")},
      {"a dot at its end", "hooks.acme.io:443", client_hello("hooks.acme.io.")},
      {"a dot at the CONNECT's end", "hooks.acme.io.:443", client_hello("hooks.acme.io")},
      {"ECH with its outer name", "hooks.acme.io:443", client_hello("hooks.acme.io", ech)},
      {"records of one byte", "hooks.acme.io:443", tls_records(message, 1)},
      {"an address without SNI", "93.184.215.14:443", client_hello(std::nullopt)},
      {"an address as SNI", "93.184.215.14:443", client_hello("93.184.215.14")},
      {"IPv6 without SNI", "[2606:2800:21f::1]:443", client_hello(std::nullopt)},
      {"IPv6 as SNI", "[2606:2800:21f::1]:443", client_hello("2606:2800:21f:0:0:0:0:1")},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    SniSandbox gateway;
    FarEnd sender = gateway.open(each.authority);
    sender.send(each.hello + "early data");
    EXPECT_EQ(gateway.destination().received(), each.hello + "early data");
    gateway.destination().send("ServerHello");
    EXPECT_EQ(sender.received(), "ServerHello");
    sender.send("more");
    EXPECT_EQ(gateway.destination().received(), each.hello + "early datamore");
    EXPECT_EQ(gateway.buffers.lent(), 0U) << "none while nothing moves";
  }
}

TEST(TunnelSni, RefusesAHelloForAnotherHostWithAnAlert) {
  const std::string ech = tls_extension(kEch, "grease");
  const Case cases[] = {
      {"another name", "hooks.acme.io:443", client_hello("evil.test")},
      {"the domain above", "hooks.acme.io:443", client_hello("acme.io")},
      {"a name below", "hooks.acme.io:443", client_hello("a.hooks.acme.io")},
      {"two dots at its end", "hooks.acme.io:443", client_hello("hooks.acme.io..")},
      {"its address", "hooks.acme.io:443", client_hello("93.184.215.14")},
      {"no name", "hooks.acme.io:443", client_hello(std::nullopt)},
      {"ECH without an outer name", "hooks.acme.io:443", client_hello(std::nullopt, ech)},
      {"ECH with another one", "hooks.acme.io:443", client_hello("cdn.test", ech)},
      {"a name for an address", "93.184.215.14:443", client_hello("hooks.acme.io")},
      {"another address", "93.184.215.14:443", client_hello("93.184.215.15")},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    SniSandbox gateway;
    FarEnd sender = gateway.open(each.authority);
    sender.send(each.hello + "early data");
    EXPECT_EQ(sender.received(), kAlert);
    EXPECT_TRUE(sender.received_eof());
    EXPECT_FALSE(sender.was_reset()) << "or the alert may be lost";
    EXPECT_EQ(gateway.logged("reason"), "tunnel_sni_mismatch");
    gateway.expect_nothing_went();
    sender.finish();
    gateway.expect_at_rest();
  }
}

TEST(TunnelSni, SaysWhichNamesDiffer) {
  SniSandbox gateway;
  FarEnd sender = gateway.open();
  sender.send(client_hello("evil\\x.test"));
  EXPECT_EQ(gateway.logged("detail"),
            "the ClientHello names evil\\x5cx.test, the CONNECT hooks.acme.io");
}

TEST(TunnelSni, RefusesWhatIsNoHelloWithoutAWord) {
  const std::string good = client_hello("hooks.acme.io");
  const Case cases[] = {
      {"HTTP", "", "GET / HTTP/1.1\r\n\r\n"},
      {"SSH", "", "SSH-2.0-x\r\n"},
      {"two names", "",
       tls_records(
           client_hello_message(sni_extension("hooks.acme.io") + sni_extension("hooks.acme.io")))},
      {"NUL in its name", "", client_hello(std::string_view("hooks.acme.io\0", 14))},
      {"a wrong length", "", "\x16\x03\x01\xff\xff" + good},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    SniSandbox gateway;
    FarEnd sender = gateway.open();
    sender.send(each.hello);
    EXPECT_EQ(sender.received(), "");
    EXPECT_TRUE(sender.ended());
    EXPECT_EQ(gateway.logged("reason"), "tunnel_not_tls");
    EXPECT_EQ(gateway.logged("status"), "200") << "which is what the sender saw";
    gateway.expect_nothing_went();
    gateway.expect_at_rest();
  }
}

TEST(TunnelSni, WaitsForTheWholeHelloWhereverItIsCut) {
  const std::string hello = client_hello("hooks.acme.io");
  for (size_t cut = 0; cut < hello.size(); ++cut) {
    SCOPED_TRACE(cut);
    SniSandbox gateway;
    FarEnd sender = gateway.open("hooks.acme.io:443", hello.substr(0, cut));
    ASSERT_EQ(gateway.destination().received(), "");
    ASSERT_EQ(gateway.buffers.lent(), cut == 0 ? 0U : 1U);
    sender.send(std::string_view(hello).substr(cut));
    ASSERT_EQ(gateway.destination().received(), hello);
  }
}

TEST(TunnelSni, ReadsAHelloThatIsLargerThanABuffer) {
  const size_t rest = client_hello("hooks.acme.io", tls_extension(kPadding, "")).size() + 4 * 5;
  for (const size_t size : {20'000, 40'000, 65'000}) {
    SCOPED_TRACE(size);
    SniSandbox gateway;
    const std::string padding = tls_extension(kPadding, std::string(size - rest, 'p'));
    const std::string hello =
        tls_records(client_hello_message(padding + sni_extension("hooks.acme.io")));
    FarEnd sender = gateway.open("hooks.acme.io:443", hello.substr(0, 5000));
    sender.send(hello.substr(5000, 10'000));
    EXPECT_EQ(gateway.destination().received(), "");
    sender.send(hello.substr(15'000) + "behind");
    EXPECT_EQ(gateway.destination().received(), hello + "behind");
    EXPECT_EQ(gateway.buffers.lent(), 0U);
  }
}

TEST(TunnelSni, TakesNoHelloOver64KiB) {
  SniSandbox gateway;
  FarEnd sender = gateway.open();
  std::string hello;
  for (int i = 0; i < 5; ++i) hello += tls_extension(kPadding + i, std::string(15'000, 'p'));
  hello = tls_records(client_hello_message(hello + sni_extension("hooks.acme.io")), 1000);
  sender.send(hello);
  EXPECT_EQ(gateway.logged("reason"), "tunnel_not_tls");
  gateway.expect_nothing_went();
  gateway.expect_at_rest();
}

TEST(TunnelSni, GivesUpASlowHelloAfterTimeoutsTls) {
  for (const size_t size : {0, 1, 50}) {
    SCOPED_TRACE(size);
    SniSandbox gateway;
    FarEnd sender = gateway.open();
    const Duration patience = policy::Timeouts().tls;
    gateway.loop.advance(patience - 1ms);
    sender.send(client_hello("hooks.acme.io").substr(0, size));
    EXPECT_TRUE(gateway.lines().empty());
    gateway.loop.advance(1ms);
    EXPECT_EQ(gateway.logged("reason"), "tunnel_idle");
    EXPECT_EQ(gateway.logged("detail"), "no whole ClientHello within timeouts.tls");
    EXPECT_TRUE(sender.ended());
    gateway.expect_nothing_went();
    gateway.expect_at_rest();
  }
}

TEST(TunnelSni, EndsWithTheTunnelsLifetime) {
  SniSandbox gateway("defaults: {timeouts: {tunnel: 2s}}\n");
  FarEnd sender = gateway.open();
  gateway.loop.advance(2s);
  EXPECT_EQ(gateway.logged("reason"), "tunnel_expired");
  gateway.expect_at_rest();
}

TEST(TunnelSni, RefusesASenderThatEndsBeforeItsHelloIsWhole) {
  for (const size_t size : {0, 1, 50}) {
    SCOPED_TRACE(size);
    SniSandbox gateway;
    FarEnd sender = gateway.open();
    sender.send(client_hello("hooks.acme.io").substr(0, size));
    sender.finish();
    EXPECT_EQ(gateway.logged("reason"), "tunnel_not_tls");
    gateway.expect_nothing_went();
    gateway.expect_at_rest();
  }
}

TEST(TunnelSni, PassesOnAHalfCloseBehindTheHello) {
  SniSandbox gateway;
  const std::string hello = client_hello("hooks.acme.io");
  FarEnd sender = gateway.open();
  sender.peer().feed(hello);
  sender.finish();
  EXPECT_EQ(gateway.destination().received(), hello);
  EXPECT_TRUE(gateway.destination().received_eof());
  gateway.destination().send("alert");
  EXPECT_EQ(sender.received(), "alert");
  EXPECT_TRUE(gateway.lines().empty());
}

TEST(TunnelSni, NoticesASenderThatResets) {
  SniSandbox gateway;
  FarEnd sender = gateway.open("hooks.acme.io:443", "\x16\x03");
  sender.reset();
  EXPECT_EQ(gateway.logged("reason"), "tunnel_reset");
  gateway.expect_nothing_went();
  gateway.expect_at_rest();
}

// A server that speaks first is not heard before the sender has said what it is.
TEST(TunnelSni, HoldsTheDestinationsBytesBackToo) {
  SniSandbox gateway;
  FarEnd sender = gateway.open();
  gateway.destination().send("220 smtp.acme.io ESMTP\r\n");
  EXPECT_EQ(sender.received(), "");
  sender.send(client_hello("hooks.acme.io"));
  EXPECT_EQ(sender.received(), "220 smtp.acme.io ESMTP\r\n");
}

TEST(TunnelSni, WaitsForMemoryAndNoLongerThanForTheHello) {
  for (const bool comes : {true, false}) {
    SCOPED_TRACE(comes);
    SniSandbox gateway;
    FarEnd sender = gateway.open();
    gateway.buffer_memory.set_most(1);
    // The pool keeps what it has set aside in hand: use that up.
    std::vector<Buffer> held;
    while (std::optional<Buffer> more = gateway.buffers.take_if_left(MemoryFor::tunnel)) {
      held.push_back(std::move(*more));
    }
    const std::string hello = client_hello("hooks.acme.io");
    sender.send(hello);
    gateway.loop.advance(1s);
    EXPECT_EQ(gateway.destination().received(), "");
    if (comes) gateway.buffer_memory.set_most(UINT64_MAX);
    gateway.loop.advance(comes ? 10ms : 4s);
    EXPECT_EQ(gateway.destination().received(), comes ? hello : "");
    EXPECT_EQ(gateway.logged("reason"), comes ? "" : "tunnel_idle");
    held.clear();
  }
}

}  // namespace
}  // namespace egret::proxy
