// The answers of tests/data/http1.jsonl, in whatever pieces they arrive: whole, in two pieces split
// at every byte, one byte at a time; on a fresh connection to the destination and on one that was
// used before. What the sender sees and what the log says must not depend on it, the next request
// on the sender's connection gets its own answer, and a connection is used again only after an
// answer that ended cleanly.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/proxy_corpus.h"
#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::Arrival;
using test::CorpusCase;
using test::FarEnd;
using test::Gateway;
using test::Kind;
using test::Message;
using test::ScriptedPeer;

constexpr const char* kCorpus = EGRET_TEST_DATA "/http1.jsonl";
constexpr std::string_view kYaml =
    "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], "
    "timeouts: {response: 2s, idle: 2s, total: 4s}}\n";
constexpr std::string_view kSecond =
    "GET http://127.0.0.1:9999/second HTTP/1.1\r\nHost: 127.0.0.1:9999\r\n\r\n";

struct Destination {
  ScriptedPeer peer;
  std::string pending = {};
  bool used_for_the_case = false;
};

// All that anybody saw of one run.
struct Outcome {
  std::vector<Message> answers;  // interim ones too; a last one may be unfinished
  std::string rest;              // behind them
  std::string end;               // of the sender's connection: "open", "closed", "reset"
  std::string second;            // the body of the next answer, if the connection is open
  bool reused = false;           // the second request went where the case was played
  size_t connections = 0;
  std::vector<std::string> reasons;

  [[nodiscard]] const Message* final() const {
    return answers.empty() || answers.back().status() < 200 ? nullptr : &answers.back();
  }
  // Egret's own answer, not the destination's.
  [[nodiscard]] bool refused() const {
    return final() != nullptr && final()->field("Proxy-Status").starts_with("egret; error=");
  }
};

std::ostream& operator<<(std::ostream& out, const Outcome& of) {
  for (const Message& each : of.answers) {
    out << each.head << each.body << (each.whole ? "\n" : "… cut\n");
  }
  out << of.rest << "\n"
      << of.end << ", " << of.connections << " connections, second: " << of.second
      << (of.reused ? " on the same\n" : "\n");
  for (const std::string& each : of.reasons) out << "logged " << each << "\n";
  return out;
}

// The same but for the number of the run in Egret's own answers.
bool same_message(const Message& a, const Message& b) {
  const bool own = a.field("Proxy-Status").starts_with("egret; error=");
  const bool bodies =
      own ? a.problem("reason") == b.problem("reason") && a.problem("detail") == b.problem("detail")
          : a.body == b.body;
  return a.head == b.head && a.whole == b.whole && bodies;
}

bool same(const Outcome& a, const Outcome& b) {
  return std::ranges::equal(a.answers, b.answers, same_message) && a.rest == b.rest &&
         a.end == b.end && a.second == b.second && a.reused == b.reused &&
         a.connections == b.connections && a.reasons == b.reasons;
}

// The one difference that is right. An answer that goes wrong is Egret's own answer while nothing
// of the destination's is out, and a reset when a part of it is: it depends on what came before the
// wrong byte. The part must not look whole, the reason is the same, and nothing goes on.
bool cut_instead_of_refused(const Outcome& now, const Outcome& whole) {
  return whole.refused() && now.final() != nullptr && !now.refused() && !now.final()->whole &&
         now.end == "reset" && now.second.empty() && now.reasons.size() == 1 &&
         now.reasons.front() == whole.reasons.front();
}

class Conversation {
 public:
  Conversation(Gateway& gateway, const CorpusCase& what, const Arrival& arrival, bool used_before)
      : gateway_(gateway),
        case_(what),
        pieces_(arrival.pieces(what.bytes)),
        sender_(gateway.connect()) {
    if (used_before) {
      sender_.send(kSecond);
      serve();
      EXPECT_EQ(sender_.take(Kind::answer).body, "SECOND");
    }
    first_line_ = gateway_.lines().size();
  }

  Outcome play() {
    Outcome out;
    sender_.peer().feed(case_.asked);
    if (case_.when == "on-accept") answer_before_the_request();
    serve();
    // Whatever waits for more ends by its timeouts.
    if (gateway_.lines().size() == first_line_) gateway_.loop.advance(5s);
    const bool head = case_.asked.starts_with("HEAD ");
    while (true) {
      Message answer = sender_.take(head ? Kind::answer_to_head : Kind::answer);
      if (answer.head.empty()) break;
      // A message that its head ends has nothing of its own behind it.
      out.answers.push_back(std::move(answer));
    }
    out.rest = sender_.received();
    sender_.received().clear();
    for (size_t i = first_line_; i < gateway_.lines().size(); ++i) {
      out.reasons.push_back(test::log_value(gateway_.lines()[i], "reason"));
    }
    if (!sender_.ended()) ask_again(out);
    out.end = sender_.was_reset() ? "reset" : sender_.received_eof() ? "closed" : "open";
    out.connections = destinations_.size();
    return out;
  }

  void end() {
    sender_.close();
    for (Destination& each : destinations_) each.peer.close();
    gateway_.loop.advance(3s);
    gateway_.pool.clear();
    gateway_.connector.dialer().accepted().clear();
    gateway_.expect_at_rest();
  }

 private:
  void ask_again(Outcome& out) {
    sender_.send(kSecond);
    serve();
    const Message answer = sender_.take(Kind::answer);
    EXPECT_TRUE(answer.whole);
    EXPECT_EQ(sender_.received(), "");
    out.second = answer.body;
    out.reused = reused_;
  }

  void answer_before_the_request() {
    while (gateway_.connector.connections() == 0 && gateway_.loop.step()) continue;
    meet();
    for (const std::string_view piece : pieces_) destinations_.front().peer.feed(piece);
    destinations_.front().used_for_the_case = true;
  }

  void meet() {
    auto& accepted = gateway_.connector.dialer().accepted();
    for (size_t i = destinations_.size(); i < accepted.size(); ++i) {
      destinations_.push_back({.peer = accepted[i].peer});
    }
  }

  // Each request is answered where it came, until there is none.
  void serve() {
    for (bool again = true; again;) {
      again = false;
      gateway_.loop.run_until_idle();
      meet();
      for (Destination& each : destinations_) again |= serve(each);
    }
  }

  bool serve(Destination& at) {
    at.pending += at.peer.take_received();
    const Message request = test::take_message(at.pending, Kind::request);
    if (request.head.empty()) return false;
    EXPECT_TRUE(request.whole);
    if (request.start.find("/second") != std::string::npos) {
      reused_ = at.used_for_the_case;
      at.peer.feed("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSECOND");
    } else if (case_.when != "on-accept") {
      at.used_for_the_case = true;
      for (const std::string_view piece : pieces_) {
        at.peer.feed(piece);
        gateway_.loop.run_until_idle();
      }
      if (case_.end == "rst") at.peer.reset();
      if (case_.end == "close") at.peer.close();
    }
    return true;
  }

  Gateway& gateway_;
  const CorpusCase& case_;
  std::vector<std::string_view> pieces_;
  FarEnd sender_;
  size_t first_line_ = 0;
  bool reused_ = false;
  std::vector<Destination> destinations_;
};

void expect_verdict(const CorpusCase& each, const Outcome& seen) {
  const Message* answer = seen.final();
  const bool whole = answer != nullptr && answer->whole && seen.end != "reset";
  if (each.expect == "reject" && each.category != "redirect") {
    EXPECT_TRUE(!whole || answer->status() >= 500) << "a complete answer";
  }
  const bool accepted = each.expect == "accept" || each.expect == "normalise" ||
                        (each.expect == "reject_or_normalise" && whole);
  if (accepted) {
    ASSERT_NE(answer, nullptr);
    const bool listed = std::ranges::find(each.status, answer->status()) != each.status.end();
    EXPECT_TRUE(each.status.empty() || listed) << answer->status();
    EXPECT_TRUE(answer->status() >= 500 || answer->body == each.body.value_or(answer->body));
  }
  EXPECT_TRUE(answer != nullptr || seen.end == "reset" || each.expect == "policy");
  for (const char* name : {"Egret-Attempts", "Proxy-Status"}) {
    EXPECT_TRUE(answer == nullptr || answer->count(name) <= 1) << name;
  }
}

// What holds of every run, however the bytes came.
void expect_order(const CorpusCase& each, const Outcome& seen) {
  EXPECT_EQ(seen.second, seen.end == "open" || !seen.second.empty() ? "SECOND" : "");
  // Bytes that come before the request does on a fresh connection cannot be told from an early
  // answer.
  const bool may_reuse = !each.must_not_reuse || each.when == "on-accept";
  EXPECT_TRUE(may_reuse || !seen.reused) << "the connection was used again";
  const bool clean = seen.final() != nullptr && !seen.refused() && seen.final()->whole;
  EXPECT_TRUE(clean || !seen.reused) << "used again after an answer that did not end cleanly";
}

constexpr const char* kCategories[] = {"response",       "response-chunked", "response-header",
                                       "status",         "status-line",      "redirect",
                                       "llhttp-response"};

TEST(SplitAnswersCorpus, HasNoOtherCategories) {
  const std::vector<std::string> all = test::corpus_categories(kCorpus, "response");
  EXPECT_TRUE(std::ranges::is_permutation(all, kCategories));
}

class SplitAnswers : public testing::TestWithParam<const char*> {};

TEST_P(SplitAnswers, HaveTheOutcomeOfTheWholeOne) {
  for (const CorpusCase& each : test::read_corpus(kCorpus, "response", GetParam())) {
    SCOPED_TRACE(each.name());
    test::ManualLoop loop;
    Gateway gateway(loop, kYaml);
    std::optional<Outcome> whole[2];
    for (const Arrival& arrival : test::arrivals(each.bytes.size())) {
      for (const bool used_before : {false, true}) {
        if (used_before && each.when == "on-accept") continue;  // it was accepted before
        SCOPED_TRACE(arrival.name() + (used_before ? ", on a used connection" : ""));
        Conversation run(gateway, each, arrival, used_before);
        const Outcome now = run.play();
        run.end();
        std::optional<Outcome>& expected = whole[used_before];
        if (!expected) expect_verdict(each, now);
        if (!expected) expected = now;
        expect_order(each, now);
        EXPECT_TRUE(same(now, *expected) || cut_instead_of_refused(now, *expected))
            << now << "\nwhole:\n"
            << *expected;
      }
      if (HasFailure()) break;
    }
  }
}

std::string parameter_name(const testing::TestParamInfo<const char*>& info) {
  std::string out = info.param;
  std::ranges::replace(out, '-', '_');
  return out;
}
INSTANTIATE_TEST_SUITE_P(Corpus, SplitAnswers, testing::ValuesIn(kCategories), parameter_name);

}  // namespace
}  // namespace egret::proxy
