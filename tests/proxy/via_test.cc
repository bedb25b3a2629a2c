// CONNECT at a parent proxy: what it is asked, and what is made of its answer.

#include "proxy/via.h"

#include <gtest/gtest.h>

#include "tests/support/manual_loop.h"
#include "tests/support/memory_stream.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kOk = "HTTP/1.1 200 Connection established\r\n\r\n";
constexpr std::string_view kSecret = "Basic dXNlcjpzZWNyZXQ=";

struct Asking {
  Asking() { loop.run_until_idle(); }
  test::ManualLoop loop;
  BufferPool buffers;
  test::ScriptedConnection made = test::make_scripted_connection();
  test::ScriptedPeer& parent = made.peer;
  async::Task<Result<>> task;

  void ask(std::string_view authorization = "") {
    task = connect_through(*made.stream, "hooks.acme.io:443", Secret(std::string(authorization)),
                           buffers, loop.in(5s));
    task.start();
    loop.run_until_idle();
  }
  void answer(std::string_view bytes) {
    parent.feed(bytes);
    loop.run_until_idle();
  }
  // "ok", "waiting", or the reason.
  std::string outcome() {
    if (!task.done()) return "waiting";
    EXPECT_EQ(buffers.lent(), 0U);
    result = task.result();
    return result ? "ok" : std::string(name(result.error().reason));
  }
  Result<> result;
};
struct ViaTest : testing::Test, Asking {};

TEST_F(ViaTest, AsksForTheAuthority) {
  ask();
  EXPECT_EQ(parent.received(),
            "CONNECT hooks.acme.io:443 HTTP/1.1\r\nHost: hooks.acme.io:443\r\n\r\n");
  EXPECT_EQ(buffers.lent(), 0U) << "none while the parent connects";
}

TEST_F(ViaTest, ShowsItsCredentials) {
  ask(kSecret);
  EXPECT_EQ(parent.received(),
            "CONNECT hooks.acme.io:443 HTTP/1.1\r\nHost: hooks.acme.io:443\r\n"
            "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n");
}

struct Case {
  std::string_view name;
  std::string answer;
  std::string_view outcome;
};

TEST(Via, MakesOfAnAnswerWhatItSays) {
  const std::string ok(kOk);
  const std::string interim = "HTTP/1.1 102 Processing\r\n\r\n";
  const Case cases[] = {
      {"200", ok, "ok"},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\nProxy-Agent: x\r\n\r\n", "ok"},
      {"204", "HTTP/1.1 204 Fine\r\n\r\n", "ok"},
      {"a length, which means nothing", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "ok"},
      {"after an interim answer", interim + ok, "ok"},
      {"after five", interim + interim + interim + interim + interim, "parent_proxy_failed"},
      {"101", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
       "parent_proxy_failed"},
      {"302", "HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n",
       "parent_proxy_refused"},
      {"403", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "parent_proxy_refused"},
      {"407", "HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", "parent_proxy_refused"},
      {"502", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "parent_proxy_refused"},
      {"bytes behind 200", ok + "HTTP/1.1 200 OK\r\n", "parent_proxy_failed"},
      {"a length and its bytes", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
       "parent_proxy_failed"},
      {"no HTTP", "SSH-2.0-OpenSSH\r\n\r\n", "parent_proxy_failed"},
      {"TLS", std::string("\x15\x03\x03\x00\x02\x02\x28", 7), "parent_proxy_failed"},
      {"bare LF", "HTTP/1.1 200 OK\n\n", "parent_proxy_failed"},
      {"a long head", "HTTP/1.1 200 OK\r\nX: " + std::string(kMostParentHead, 'x') + "\r\n\r\n",
       "parent_proxy_failed"},
  };
  for (const Case& each : cases) {
    for (const bool in_pieces : {false, true}) {
      SCOPED_TRACE(std::string(each.name) + (in_pieces ? ", by bytes" : ""));
      Asking via;
      if (in_pieces) via.parent.faults().most_per_read = 1;
      via.ask(kSecret);
      via.answer(each.answer);
      EXPECT_EQ(via.outcome(), each.outcome);
      if (!via.result) {
        EXPECT_EQ(via.result.error().detail.find("dXNl"), std::string::npos);
      }
    }
  }
}

TEST_F(ViaTest, TellsTheStatusOfARefusal) {
  ask(kSecret);
  answer("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(outcome(), "parent_proxy_refused");
  EXPECT_EQ(result.error().detail,
            "the parent proxy answered CONNECT hooks.acme.io:443 with 407: it does not take the "
            "credentials of via, or wants some");
}

TEST_F(ViaTest, FailsWhenTheParentCloses) {
  for (size_t size = 0; size < kOk.size(); ++size) {
    SCOPED_TRACE(size);
    made = test::make_scripted_connection();
    loop.run_until_idle();
    ask();
    parent.feed(kOk.substr(0, size));
    parent.finish();
    loop.run_until_idle();
    EXPECT_EQ(outcome(), "parent_proxy_failed");
  }
}

TEST_F(ViaTest, FailsWhenTheParentClosesBehindItsAnswer) {
  ask();
  parent.feed(kOk);
  parent.finish();
  loop.run_until_idle();
  EXPECT_EQ(outcome(), "parent_proxy_failed");
}

TEST_F(ViaTest, FailsWhenTheParentResets) {
  ask();
  parent.reset();
  loop.run_until_idle();
  EXPECT_EQ(outcome(), "parent_proxy_failed");
}

// They are still in the socket when the head has been read.
TEST_F(ViaTest, FailsWhenBytesWaitBehindTheAnswer) {
  parent.faults().most_per_read = kOk.size();
  ask();
  answer(std::string(kOk) + "x");
  EXPECT_EQ(outcome(), "parent_proxy_failed");
}

TEST_F(ViaTest, LeavesTheStreamToTheDestination) {
  ask();
  answer(kOk);
  EXPECT_EQ(outcome(), "ok");
  answer("ServerHello");
  char bytes[20];
  const net::Io got = made.stream->read_now(bytes);
  EXPECT_EQ(std::string_view(bytes, got.bytes), "ServerHello");
}

TEST_F(ViaTest, WaitsNoLongerThanItsDeadline) {
  for (const size_t size : {size_t{0}, size_t{1}, kOk.size() - 1}) {
    SCOPED_TRACE(size);
    made = test::make_scripted_connection();
    loop.run_until_idle();
    ask();
    loop.advance(3s);
    answer(kOk.substr(0, size));
    loop.advance(1999ms);
    EXPECT_EQ(outcome(), "waiting");
    loop.advance(1ms);
    EXPECT_EQ(outcome(), "tls_timeout");
  }
}

TEST_F(ViaTest, WaitsNoLongerForAParentThatReadsNothing) {
  made = test::make_scripted_connection(10);
  loop.run_until_idle();
  ask();
  loop.advance(5s);
  EXPECT_EQ(outcome(), "tls_timeout");
}

}  // namespace
}  // namespace egret::proxy
