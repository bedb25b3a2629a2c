// Each pipeline, cancelled after every ready node: nothing stays alive, held or counted.

#include <gtest/gtest.h>

#include <functional>

#include "tests/support/cancellation.h"
#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::FarEnd;
using test::Gateway;
using test::Kind;
using test::ManualLoop;
using test::Sandbox;

// What the outside does when Egret waits; each step once.
using Step = std::function<void(Gateway&, FarEnd& sender)>;

struct Pipeline {
  std::string_view name;
  std::vector<Step> steps;
  std::string_view yaml = "";
  size_t piece = SIZE_MAX;  // the sender's bytes come in pieces of this size
};

Step sends(std::string bytes) {
  return [bytes = std::move(bytes)](Gateway&, FarEnd& sender) { sender.peer().feed(bytes); };
}
Step answers(std::string bytes, size_t index = 0) {
  return [bytes = std::move(bytes), index](Gateway& gateway, FarEnd&) {
    gateway.connector.peer(index).feed(bytes);
  };
}
void takes(Gateway& gateway, FarEnd& sender) {
  sender.peer().take_received();
  for (size_t i = 0; i < gateway.connector.connections(); ++i) {
    gateway.connector.peer(i).take_received();
  }
}
void hangs_up(Gateway&, FarEnd& sender) { sender.peer().close(); }
void destination_finishes(Gateway& gateway, FarEnd&) { gateway.connector.peer().finish(); }

class OneRun final : public test::World {
 public:
  OneRun(ManualLoop& loop, const Pipeline& pipeline)
      : pipeline_(pipeline), gateway_(loop, pipeline.yaml) {
    gateway_.dns.answer(Sandbox::kHost, {Sandbox::kAddress}, 1s);
    for (const std::string_view endpoint : {"93.184.215.14:80", "93.184.215.14:443"}) {
      gateway_.connector.dialer().script(endpoint, {.after = 1s, .capacity = 2000});
    }
  }
  async::Task<void> root() override {
    async::Task<void> task = gateway_.serving({.capacity = 2000}, sender_);
    sender_->peer().faults().most_per_read = pipeline_.piece;
    return task;
  }
  // The next step, once time has brought what the last one set off.
  bool act() override {
    if (gateway_.dns.resolving() > 0 || gateway_.connector.dialer().dialling() > 0) return false;
    if (next_ == pipeline_.steps.size()) return false;
    pipeline_.steps[next_++](gateway_, *sender_);
    return true;
  }
  void check_after() override { gateway_.expect_at_rest(); }

 private:
  const Pipeline& pipeline_;
  Gateway gateway_;
  std::optional<FarEnd> sender_;
  size_t next_ = 0;
};

TEST(Cancel, LeavesNothingBehindAtAnyPoint) {
  const std::string announce =
      "POST http://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n";
  const std::string half(2500, 'x');
  const std::string ok(test::kOk);
  const Pipeline pipelines[] = {
      {"a plain POST", {sends(test::post("hello")), answers(ok), hangs_up}},
      {"a plain POST, byte by byte", {sends(test::post("hello")), answers(ok), hangs_up}, "", 9},
      {"a streamed POST",
       {sends(announce + "\r\n" + half), takes, sends(half), takes, takes, answers(ok), hangs_up}},
      {"a chunked POST and answer",
       {sends("POST http://hooks.acme.io/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
              "3\r\nabc\r\n"),
        sends("2\r\nde\r\n0\r\n\r\n"),
        answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        answers("0\r\n\r\n"), hangs_up}},
      {"an answer larger than the sender takes",
       {sends(test::get()),
        answers("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + std::string(9000, 'x')), takes,
        takes, takes, takes, takes, takes, hangs_up}},
      {"an interim answer",
       {sends(test::get()), answers("HTTP/1.1 103 Early\r\n\r\n"), answers(ok), hangs_up}},
      {"expect-continue",
       {sends(announce + "Expect: 100-continue\r\n\r\n"), takes, sends(half), takes, sends(half),
        takes, takes, answers(ok), hangs_up}},
      {"an early no",
       {sends(announce + "\r\n" + half), answers("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"),
        hangs_up}},
      {"an early yes",
       {sends(announce + "\r\n" + half), answers(ok), takes, sends(half), takes, takes, hangs_up}},
      {"a tunnel",
       {sends(test::connect_request() + "early"), answers("hello"), takes, sends(half), takes,
        answers(half), takes, takes, destination_finishes, hangs_up}},
      {"a refusal", {sends(test::post("hello")), hangs_up}, "defaults: {action: deny}\n"},
      {"a refusal with content to come",
       {sends(announce + "\r\n" + half), hangs_up},
       "defaults: {action: deny}\n"},
      {"a malformed head", {sends("nonsense\r\n\r\n"), hangs_up}},
      {"a response timeout", {sends(test::post("hello"))}},
      {"two pipelined",
       {sends(test::post("a") + test::post("b")), answers(ok), answers(ok), hangs_up}},
  };
  for (const Pipeline& pipeline : pipelines) {
    SCOPED_TRACE(pipeline.name);
    const size_t nodes = test::cancel_at_every_turn(
        [&](ManualLoop& loop) { return std::make_unique<OneRun>(loop, pipeline); });
    EXPECT_GT(nodes, 2U);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace egret::proxy
