// A fast end and a slow one: what Egret holds between them stays bounded.

#include <gtest/gtest.h>

#include "proxy/http/body.h"
#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::FakeDialer;
using test::FarEnd;
using test::get;
using test::Kind;
using test::kOk;
using test::Message;
using test::Sandbox;

constexpr size_t kMegabytes = size_t{4} << 20;
constexpr size_t kCapacity = 4096;  // of the slow end
// What may be on its way: a buffer, chunk framing, and what the slow end takes.
constexpr size_t kHeld = BufferPool::kBytes + kCapacity + 1024;
constexpr std::string_view kYaml =
    "defaults: {limits: {request_body: 8MiB, response_body: 8MiB}}\n";

std::string in_chunks(const std::string& content, size_t size) {
  std::string out;
  char head[20];
  for (size_t at = 0; at < content.size(); at += size) {
    const std::string_view chunk = std::string_view(content).substr(at, size);
    out.append(head, http::write_chunk_head(head, chunk.size())).append(chunk).append("\r\n");
  }
  return out + "0\r\n\r\n";
}

// Bytes in which a piece that is lost, doubled or moved would show.
std::string numbered(size_t size) {
  std::string out;
  for (size_t i = 0; out.size() < size; ++i) out += std::to_string(i) + ",";
  out.resize(size);
  return out;
}

// Lets `slow` take everything, watching what is held.
std::string drain(Sandbox& gateway, FarEnd& fast, FarEnd& slow, size_t sent) {
  std::string got;
  size_t most_held = 0;
  size_t most_buffers = 0;
  while (true) {
    gateway.loop.run_until_idle();
    most_buffers = std::max(most_buffers, gateway.buffers.lent());
    const std::string more = slow.peer().take_received();
    if (more.empty()) break;
    got += more;
    const size_t read = sent - fast.peer().unread();
    most_held = std::max(most_held, read - std::min(read, got.size()));
  }
  EXPECT_LE(most_held, kHeld);
  EXPECT_LE(most_buffers, 2U);
  return got;
}

class BackPressure : public testing::TestWithParam<size_t> {};  // chunk size; 0: a length

TEST_P(BackPressure, OfASlowDestinationReachesTheSender) {
  Sandbox gateway(kYaml);
  FakeDialer::Script script;
  script.capacity = kCapacity;
  gateway.connector.dialer().script(Sandbox::kEndpoint, script);
  const std::string content = numbered(kMegabytes);
  const std::string framing = GetParam() == 0
                                  ? "Content-Length: " + std::to_string(content.size()) + "\r\n"
                                  : "Transfer-Encoding: chunked\r\n";
  const std::string request = "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\n" + framing +
                              "\r\n" + (GetParam() == 0 ? content : in_chunks(content, GetParam()));
  FarEnd sender = gateway.connect();
  sender.send(request);
  EXPECT_GE(sender.peer().unread() + kHeld, request.size()) << "nothing is read ahead";

  std::string seen = drain(gateway, sender, gateway.destination(), request.size());
  const Message got = test::take_message(seen, Kind::request);
  EXPECT_TRUE(got.whole);
  EXPECT_TRUE(got.body == content);
  gateway.destination().send(kOk);
  EXPECT_EQ(sender.take(Kind::answer).status(), 200);
  EXPECT_EQ(gateway.buffers.lent(), 0U);
}

TEST_P(BackPressure, OfASlowSenderReachesTheDestination) {
  Sandbox gateway(kYaml);
  const std::string content = numbered(kMegabytes);
  const std::string framing = GetParam() == 0
                                  ? "Content-Length: " + std::to_string(content.size()) + "\r\n"
                                  : "Transfer-Encoding: chunked\r\n";
  const std::string answer = "HTTP/1.1 200 OK\r\n" + framing + "\r\n" +
                             (GetParam() == 0 ? content : in_chunks(content, GetParam()));
  FarEnd sender = gateway.connect({.capacity = kCapacity});
  sender.send(get());
  gateway.destination().send(answer);
  EXPECT_GE(gateway.destination().peer().unread() + kHeld, answer.size());

  std::string got = drain(gateway, gateway.destination(), sender, answer.size());
  const Message relayed = test::take_message(got, Kind::answer);
  EXPECT_TRUE(relayed.whole);
  EXPECT_TRUE(relayed.body == content);
  EXPECT_EQ(gateway.buffers.lent(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Framing, BackPressure, testing::Values(0, 3000, 100'000));

TEST(BackPressureOfPipelining, ReadsNoFurtherThanTheRequestAtHand) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  std::string requests;
  while (requests.size() < kMegabytes) requests += get();
  sender.send(requests);
  EXPECT_GE(sender.peer().unread() + BufferPool::kBytes, requests.size());
  EXPECT_EQ(gateway.buffers.lent(), 1U);
}

TEST(BackPressureOfPipelining, StopsAtAnAnswerThatIsNotTaken) {
  Sandbox gateway;
  FarEnd sender = gateway.connect({.capacity = 1000});
  std::string requests;
  for (int i = 0; i < 10'000; ++i) requests += "GET http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\n\r\n";
  sender.send(requests);
  EXPECT_LE(gateway.lines().size(), 3U);
  gateway.loop.advance(10s);
  EXPECT_TRUE(sender.ended()) << "and it is not waited for longer than idle";
  gateway.expect_at_rest();
}

}  // namespace
}  // namespace egret::proxy
