// Either end resets or closes after each byte of an exchange. There is one whole answer or none, a
// part of one is never taken for the whole, Egret answers for itself only when nothing of the
// destination's is out, and no connection that ended so is kept.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::FarEnd;
using test::Kind;
using test::Message;
using test::Sandbox;

// How an end goes away: by FIN or RST, and whether in the same moment as its last bytes.
enum class Cut : uint8_t { finish, close, reset };
struct Way {
  std::string_view name;
  Cut cut;
  bool together;
};
constexpr Way kWays[] = {
    {"FIN", Cut::finish, false},  {"FIN with the last byte", Cut::finish, true},
    {"close", Cut::close, false}, {"close with the last byte", Cut::close, true},
    {"RST", Cut::reset, false},   {"RST with the last byte", Cut::reset, true},
};

void cut_off(FarEnd& end, const Way& way) {
  if (way.cut == Cut::finish) end.finish();
  if (way.cut == Cut::close) end.close();
  if (way.cut == Cut::reset) end.reset();
}

// Sends `bytes` and goes away.
void send_and_cut(FarEnd& end, std::string_view bytes, const Way& way) {
  end.peer().feed(bytes);
  if (!way.together) end.received();
  cut_off(end, way);
}

struct Sent {
  std::string_view name;
  std::string head;
  std::string content;  // in its framing
  [[nodiscard]] std::string all() const { return head + content; }
};
const Sent kRequests[] = {
    {"of a length",
     "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n",
     "hello world"},
    {"in chunks",
     "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
     "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nT: 1\r\n\r\n"},
};
const Sent kAnswers[] = {
    {"of a length", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", "hello world"},
    {"in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
     "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nT: 1\r\n\r\n"},
    {"until the close", "HTTP/1.1 200 OK\r\nX: y\r\n\r\n", "hello world"},
};

// Nothing is left when all are gone and all timeouts are over.
void expect_rest(Sandbox& gateway, FarEnd& sender) {
  EXPECT_EQ(gateway.pool.size(), 0U);
  sender.close();
  gateway.loop.advance(11s);
  EXPECT_EQ(gateway.serving_now(), 0U);
  gateway.expect_at_rest();
}

// What a sender gets that gives up after `sent` bytes of its request, and why the log says so.
std::string_view reason_for_sender(const Sent& request, size_t sent, const Way& way) {
  if (sent == 0) return "";
  // Its FIN is an answerable mistake within the head. Behind it, it has hung up.
  const bool head = sent < request.head.size();
  return head && way.cut != Cut::reset ? "request_malformed" : "sender_disconnected";
}

void cut_request(const Sent& request, size_t sent, const Way& way) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  send_and_cut(sender, request.all().substr(0, sent), way);

  if (gateway.destinations() > 0) {
    FarEnd& destination = gateway.destination();
    // A reset in the same moment as the request's last byte has no edge of its own: it is known
    // when the answer is to be written.
    const bool hidden = sent == request.all().size() && way.cut == Cut::reset && way.together;
    EXPECT_EQ(destination.ended(), !hidden);
    if (hidden) destination.peer().feed(test::kOk);
    EXPECT_TRUE(destination.ended());
    const bool whole = destination.take(Kind::request).whole;
    EXPECT_TRUE(!whole || sent == request.all().size());
  }
  const Message answer = sender.take(Kind::answer);
  const std::string_view reason = reason_for_sender(request, sent, way);
  EXPECT_EQ(answer.status(), reason == "request_malformed" && way.cut == Cut::finish ? 400 : 0);
  EXPECT_EQ(sender.received(), "");
  EXPECT_EQ(gateway.lines().size(), reason.empty() ? 0U : 1U);
  EXPECT_EQ(gateway.logged("reason"), reason);
  EXPECT_LE(gateway.destinations(), 1U);
  expect_rest(gateway, sender);
}

TEST(CutEverywhere, ASenderThatGoesAwayAfterAnyByteOfItsRequestEndsItsExchange) {
  for (const Sent& request : kRequests) {
    for (const Way& way : kWays) {
      for (size_t sent = 0; sent <= request.all().size(); ++sent) {
        SCOPED_TRACE(std::string(request.name) + ", " + std::string(way.name) + " after " +
                     std::to_string(sent));
        cut_request(request, sent, way);
      }
    }
  }
}

void cut_answer_at_the_sender(const Sent& answer, size_t taken) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.peer().faults().reset_after_write = taken;
  sender.send(test::post("x"));
  FarEnd& destination = gateway.destination();
  for (const char byte : answer.all()) {
    if (!destination.ended()) destination.send(std::string_view(&byte, 1));
  }
  if (answer.name == "until the close") destination.finish();

  EXPECT_EQ(gateway.lines().size(), 1U);
  if (gateway.pool.size() > 0) {
    // Its last byte was the answer's: nobody can tell.
    EXPECT_EQ(gateway.logged("reason"), "");
    std::string all = sender.peer().transcript();
    EXPECT_TRUE(test::take_message(all, Kind::answer).whole) << "kept after half an answer";
    gateway.pool.clear();
  } else if (answer.name != "until the close") {
    EXPECT_EQ(gateway.logged("reason"), "sender_disconnected");
  }
  EXPECT_TRUE(destination.ended());
  expect_rest(gateway, sender);
}

TEST(CutEverywhere, ASenderThatResetsAfterAnyByteOfItsAnswerEndsItsExchange) {
  for (const Sent& answer : kAnswers) {
    // What is relayed is longer than what came, by Egret's own fields.
    for (size_t taken = 1; taken <= answer.all().size() + 100; ++taken) {
      SCOPED_TRACE(std::string(answer.name) + " after " + std::to_string(taken));
      cut_answer_at_the_sender(answer, taken);
    }
  }
}

// Why an exchange failed whose destination went away after `sent` bytes of its answer; "": it did
// not.
std::string_view reason_for_answer(const Sent& answer, size_t sent, const Way& way) {
  const bool until_close = answer.name == "until the close";
  const bool whole = until_close ? way.cut != Cut::reset && sent >= answer.head.size()
                                 : sent == answer.all().size();
  if (whole) return "";
  return sent == 0 || way.cut == Cut::reset ? "connection_terminated" : "response_incomplete";
}

void expect_answer(FarEnd& sender, std::string_view reason, bool begun) {
  const bool reset = sender.was_reset();
  const Message got = sender.take(Kind::answer);
  if (reason.empty()) {
    EXPECT_TRUE(got.whole && !reset);
    EXPECT_EQ(got.status(), 200);
  } else if (begun) {
    EXPECT_TRUE(reset && !got.whole);
    EXPECT_TRUE(got.status() == 200 || got.status() == 0);
    EXPECT_TRUE(std::string_view("hello world").starts_with(got.body));
  } else {
    EXPECT_TRUE(got.whole && !reset);
    EXPECT_EQ(got.status(), 502);
    EXPECT_EQ(got.problem("reason"), reason);
  }
  EXPECT_EQ(sender.received(), "");
}

void cut_answer(const Sent& request, const Sent& answer, size_t sent, const Way& way) {
  Sandbox gateway;
  FarEnd sender = gateway.connect();
  sender.send(request.all());
  send_and_cut(gateway.destination(), answer.all().substr(0, sent), way);

  const std::string_view reason = reason_for_answer(answer, sent, way);
  expect_answer(sender, reason, sent >= answer.head.size());
  EXPECT_EQ(gateway.lines().size(), 1U);
  EXPECT_EQ(gateway.logged("reason"), reason);
  EXPECT_EQ(gateway.destinations(), 1U) << "a request that may not be repeated was";
  if (reason.empty()) {
    // The sender's connection goes on, the destination's does not.
    sender.send(test::get());
    EXPECT_EQ(gateway.destinations(), 2U);
    gateway.destination(1).send(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_EQ(sender.take(Kind::answer).body, "ok");
  }
  expect_rest(gateway, sender);
}

class CutAnswers : public testing::TestWithParam<Sent> {};
TEST_P(CutAnswers, AreNeverTakenForTheWhole) {
  const Sent& answer = GetParam();
  for (const Sent& request : kRequests) {
    for (const Way& way : kWays) {
      for (size_t sent = 0; sent <= answer.all().size(); ++sent) {
        SCOPED_TRACE("a request " + std::string(request.name) + ", " + std::string(way.name) +
                     " after " + std::to_string(sent));
        cut_answer(request, answer, sent, way);
      }
    }
  }
}
std::string framing_name(const testing::TestParamInfo<Sent>& of) {
  std::string name(of.param.name);
  std::ranges::replace(name, ' ', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Framings, CutAnswers, testing::ValuesIn(kAnswers), framing_name);

// The destination goes away when `taken` bytes of the request have come to it, however these came
// to Egret.
void cut_upload(const Sent& request, size_t taken, Cut cut, bool one_at_a_time) {
  Sandbox gateway;
  test::FakeDialer::Script dial;
  if (cut == Cut::reset) dial.faults.reset_after_write = taken;
  gateway.connector.dialer().script(Sandbox::kEndpoint, dial);
  FarEnd sender = gateway.connect();
  const std::string all = request.all();
  const size_t step = one_at_a_time ? 1 : all.size();
  const auto gone = [&] { return gateway.destinations() > 0 && gateway.destination().ended(); };
  bool over = false;
  for (size_t at = 0; at < all.size() && !over && !gone(); at += step) {
    sender.send(std::string_view(all).substr(at, step));
    if (cut == Cut::reset || gateway.destinations() == 0) continue;
    FarEnd& destination = gateway.destination();
    over = destination.received().size() >= taken;
    if (over) cut_off(destination, {"", cut, false});
  }

  if (gateway.lines().empty()) {
    // More than the request has as Egret sends it: the answer is still to come.
    gateway.destination().send(test::kOk);
    expect_answer(sender, "", true);
    gateway.pool.clear();
  } else {
    expect_answer(sender, "connection_terminated", false);
    EXPECT_EQ(gateway.logged("reason"), "connection_terminated");
  }
  EXPECT_EQ(gateway.lines().size(), 1U);
  EXPECT_EQ(gateway.destinations(), 1U) << "a request that may not be repeated was";
  expect_rest(gateway, sender);
}

TEST(CutEverywhere, ADestinationThatGoesAwayAfterAnyByteOfARequestIsA502) {
  for (const Sent& request : kRequests) {
    for (const Cut cut : {Cut::finish, Cut::close, Cut::reset}) {
      for (const bool one_at_a_time : {false, true}) {
        for (size_t taken = 1; taken <= request.all().size() + 60; ++taken) {
          SCOPED_TRACE(std::string(request.name) + ", cut " + std::to_string(int(cut)) +
                       (one_at_a_time ? ", one byte at a time" : "") + ", after " +
                       std::to_string(taken));
          cut_upload(request, taken, cut, one_at_a_time);
        }
      }
    }
  }
}

}  // namespace
}  // namespace egret::proxy
