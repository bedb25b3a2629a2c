// The requests of tests/data/http1.jsonl, in whatever pieces they arrive: whole, in two pieces
// split at every byte, one byte at a time; on a fresh connection and on one that was used before.
// What the destinations and the sender see and what the log says must not depend on it.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.h"
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
    "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], timeouts: {idle: 2s}, "
    "breaker: none}\n";
// Where a request goes that is not the case's.
constexpr std::string_view kAnother = "127.0.0.1:9997";
constexpr std::string_view kAnotherRequest =
    "GET http://127.0.0.1:9997/ HTTP/1.1\r\nHost: 127.0.0.1:9997\r\n\r\n";

// All that anybody saw of one run.
struct Outcome {
  std::string answers;                 // to the sender, without what is told of below
  std::string end;                     // of the sender's connection: "open", "closed", "reset"
  std::vector<std::string> forwarded;  // each connection's whole requests, without chunk framing
  std::vector<std::string> cut;        // the content of each unfinished request so far
  std::vector<std::string> reasons;    // of the log
  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& of) {
  out << "the sender got\n" << of.answers << "and is " << of.end << "\n";
  for (const std::string& each : of.forwarded) out << "--- forwarded\n" << each << "\n";
  for (const std::string& each : of.cut) out << "--- unfinished\n" << each << "\n";
  for (const std::string& each : of.reasons) out << "--- logged " << each << "\n";
  return out;
}

// The final ones, in order.
std::vector<int> statuses(const std::string& answers) {
  std::vector<int> out;
  constexpr size_t kBefore = sizeof("HTTP/1.1 ") - 1;
  for (size_t at = 0; (at = answers.find("HTTP/1.", at)) != std::string::npos; at += kBefore) {
    const std::string code = answers.substr(at + kBefore, 3);
    if (code.size() == 3 && std::ranges::all_of(code, text::is_digit) && code[0] != '1') {
      out.push_back(std::stoi(code));
    }
  }
  return out;
}

// A number of the run's, and a 100 that is said only to a sender that holds its content back, are
// the two things that may differ.
void remove_what_may_differ(std::string& answers) {
  constexpr std::string_view kId = "\"request_id\":\"";
  for (size_t at = 0; (at = answers.find(kId, at)) != std::string::npos; at += kId.size()) {
    answers.replace(at + kId.size(), 16, "");
  }
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  if (const size_t at = answers.find(kContinue); at != std::string::npos) {
    answers.erase(at, kContinue.size());
  }
}

struct Destination {
  std::string endpoint;
  ScriptedPeer peer;
  std::string seen = {};     // every byte
  std::string pending = {};  // the beginning of the next request
  std::vector<Message> requests = {};
};

// One run of one case on a gateway of its own or another's leftovers: what it opens it closes.
class Conversation {
 public:
  Conversation(Gateway& gateway, bool used_before) : gateway_(gateway), sender_(gateway.connect()) {
    EXPECT_TRUE(!used_before || answers_another());
    first_line_ = gateway_.lines().size();
  }

  void send(const CorpusCase& each, const Arrival& arrival) {
    for (const std::string_view piece : arrival.pieces(each.bytes)) {
      sender_.send(piece);
      answer_all();
    }
    if (each.end == "half-close") sender_.finish();
    if (each.end == "rst") sender_.reset();
    answer_all();
  }

  // Time passes until nothing waits any more. Whatever has come is kept.
  void wait() {
    gateway_.loop.advance(3s);
    answer_all();
  }

  // A connection that is open must be in step: the next answer is that of the next request.
  bool answers_another() {
    const size_t before = sender_.received().size();
    sender_.send(kAnotherRequest);
    answer_all();
    std::string& all = sender_.received();
    std::string next = all.substr(before);
    const Message answer = test::take_message(next, Kind::answer);
    all.resize(before);
    return answer.body.starts_with("{\"n\":") && next.empty();
  }

  Outcome outcome(bool tunnel) {
    Outcome out;
    out.answers = sender_.received();
    remove_what_may_differ(out.answers);
    out.end = sender_.was_reset() ? "reset" : sender_.received_eof() ? "closed" : "open";
    const std::vector<std::string>& lines = gateway_.lines();
    for (size_t i = first_line_; i < lines.size(); ++i) {
      out.reasons.push_back(test::log_value(lines[i], "reason"));
    }
    for (const Destination& each : destinations_) {
      if (each.endpoint != kAnother) describe(each, tunnel, out);
    }
    return out;
  }

  std::vector<Destination>& destinations() { return destinations_; }

  void end() {
    sender_.close();
    for (Destination& each : destinations_) each.peer.close();
    gateway_.loop.run_until_idle();
    gateway_.pool.clear();
    gateway_.connector.dialer().accepted().clear();
    gateway_.expect_at_rest();
  }

 private:
  // An exchange that has ended leaves no half of a request behind: its connection is closed. What
  // was on the way then depends on when the wrong byte came, so it is no part of the outcome.
  static void describe(const Destination& each, bool tunnel, Outcome& out) {
    if (tunnel) {
      out.forwarded.push_back(each.endpoint + "\n" + each.seen);
      return;
    }
    std::string whole;
    for (const Message& request : each.requests) whole += request.head + request.body;
    if (!whole.empty()) out.forwarded.push_back(each.endpoint + "\n" + whole);
    if (each.peer.hung_up()) return;
    std::string rest = each.pending;
    if (rest.empty()) return;
    const Message unfinished = test::take_message(rest, Kind::request);
    out.cut.push_back(unfinished.head + unfinished.body + rest);
  }

  // Every destination says 200 to each whole request, until nothing is left to say.
  void answer_all() {
    for (bool again = true; again;) {
      again = false;
      gateway_.loop.run_until_idle();
      auto& accepted = gateway_.connector.dialer().accepted();
      for (size_t i = destinations_.size(); i < accepted.size(); ++i) {
        destinations_.push_back({.endpoint = accepted[i].endpoint, .peer = accepted[i].peer});
      }
      for (Destination& each : destinations_) again |= answer(each);
    }
  }

  static bool answer(Destination& at) {
    const std::string more = at.peer.take_received();
    at.seen += more;
    at.pending += more;
    if (more.empty()) return false;
    while (true) {
      std::string rest = at.pending;
      Message request = test::take_message(rest, Kind::request);
      if (!request.whole) return true;
      at.pending = rest;
      const std::string body = "{\"n\":" + std::to_string(at.requests.size() + 1) + "}";
      at.peer.feed("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                   "\r\n\r\n" + (request.start.starts_with("HEAD ") ? "" : body));
      at.requests.push_back(std::move(request));
    }
  }

  Gateway& gateway_;
  FarEnd sender_;
  size_t first_line_ = 0;
  std::vector<Destination> destinations_;
};

// Cases whose listed statuses presume another policy than Egret's.
bool is_own_status(const CorpusCase& each, int status) {
  return (each.id == "R-cn-early2" && status == 502) ||  // the port is permitted; nobody listens
         (each.id == "B-MAL-INCOMPLETE-REQUEST" && status == 408);  // waited for, as any head is
}

// The corpus's regular expressions are texts with \xNN for a byte, and one class.
bool found(std::string pattern, std::string in, bool any_case = false) {
  if (pattern == "[^\\r]\\n") {
    for (size_t at = in.find('\n', 1); at != std::string::npos; at = in.find('\n', at + 1)) {
      if (in[at - 1] != '\r') return true;
    }
    return false;
  }
  for (size_t at = 0; (at = pattern.find("\\x", at)) != std::string::npos; ++at) {
    const auto byte = static_cast<char>(std::stoi(pattern.substr(at + 2, 2), nullptr, 16));
    pattern.replace(at, 4, 1, byte);
  }
  EXPECT_EQ(pattern.find_first_of("[]()*+?|^$\\"), std::string::npos) << pattern;
  if (any_case) {
    pattern = text::to_lower(pattern);
    in = text::to_lower(in);
  }
  return in.find(pattern) != std::string::npos;
}

struct Seen {
  std::vector<int> statuses;
  std::vector<Message> requests;
  std::string bytes;
  bool tunnel = false;
  [[nodiscard]] int first() const { return statuses.empty() ? 0 : statuses.front(); }
  [[nodiscard]] bool refused() const { return first() >= 400; }
};

void expect_as_told(const CorpusCase& each, const Seen& seen) {
  EXPECT_LE(seen.requests.size(), each.max_requests.value_or(99));
  for (const std::string& pattern : each.must_see) {
    EXPECT_TRUE(found(pattern, seen.bytes, true)) << pattern;
  }
  if (seen.requests.empty()) return;
  const Message& request = seen.requests.front();
  EXPECT_EQ(request.body, each.body.value_or(request.body));
  EXPECT_EQ(request.start, each.line.empty() ? request.start : each.line);
  EXPECT_EQ(request.field("Host"), each.host.empty() ? request.field("Host") : each.host);
}

// The whole run is as the case says.
void expect_verdict(const CorpusCase& each, const Seen& seen) {
  if (!seen.tunnel) {
    for (const Message& request : seen.requests) EXPECT_EQ(test::ambiguity(request.head), "");
    for (const std::string& pattern : each.must_not_see) {
      EXPECT_FALSE(found(pattern, seen.bytes)) << pattern;
    }
  }
  if (each.expect == "reject") {
    EXPECT_LE(seen.requests.size(), each.max_requests.value_or(0));
    // Whoever ends the connection within a request may be left without an answer.
    EXPECT_TRUE(seen.refused() || each.max_requests.value_or(0) || !each.end.empty());
    if (!each.status.empty() && seen.refused() && !is_own_status(each, seen.first())) {
      EXPECT_NE(std::ranges::find(each.status, seen.first()), each.status.end()) << seen.first();
    }
  } else if (each.expect == "accept" || each.expect == "normalise") {
    const bool may_refuse = each.expect == "normalise" && each.max_requests == 0;
    EXPECT_TRUE(seen.first() == 200 || (may_refuse && seen.refused())) << seen.first();
    expect_as_told(each, seen);
  } else if (each.expect == "reject_or_normalise") {
    if (!seen.requests.empty() || seen.tunnel) {
      expect_as_told(each, seen);
    } else {
      EXPECT_TRUE(seen.refused());
    }
  } else if (each.expect == "wait") {
    EXPECT_TRUE(seen.requests.empty());
    EXPECT_TRUE(seen.statuses.empty() || seen.refused());
  }
}

// At once, and when all timeouts have passed.
struct Both {
  Outcome at_once;
  Outcome later;
  bool operator==(const Both&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Both& of) {
  return out << of.at_once << "=== and later\n" << of.later;
}

Both play(Gateway& gateway, const CorpusCase& each, const Arrival& arrival, bool used_before) {
  const bool tunnel = each.category == "connect";
  Conversation run(gateway, used_before);
  run.send(each, arrival);
  Both out;
  out.at_once = run.outcome(tunnel);
  const std::vector<int> said = statuses(out.at_once.answers);
  if (each.expect == "reject" && out.at_once.end == "open" && !said.empty() && said[0] >= 400) {
    EXPECT_TRUE(run.answers_another()) << "the connection stays open and is out of step";
  }
  run.wait();
  out.later = run.outcome(tunnel);
  if (arrival.first == 0 && !arrival.single) {
    Seen seen;
    seen.statuses = statuses(out.later.answers);
    seen.tunnel = tunnel && seen.first() == 200;
    for (const Destination& destination : run.destinations()) {
      if (destination.endpoint == kAnother) continue;
      seen.bytes += destination.seen;
      for (const Message& request : destination.requests) seen.requests.push_back(request);
    }
    expect_verdict(each, seen);
  }
  run.end();
  return out;
}

// The one difference that is right. A request that its head alone refuses leaves the connection
// open only when all of its content has come: what has not come is not waited for, and so the
// answer says close. Nothing else may differ, and the split is behind the head.
bool closed_for_want_of_content(const Outcome& now, const Outcome& whole) {
  constexpr std::string_view kClose = "Connection: close\r\n";
  Outcome kept = now;
  const size_t at = kept.answers.rfind(kClose);
  if (at == std::string::npos || now.end != "closed" || now.reasons.empty()) return false;
  kept.answers.erase(at, kClose.size());
  kept.end = whole.end;
  return kept == whole;
}

bool same(const Both& now, const Both& whole, const CorpusCase& each, const Arrival& arrival) {
  if (now == whole) return true;
  const size_t head = each.bytes.find("\r\n\r\n") + 4;
  const bool without_content = arrival.single || arrival.first >= head;
  return without_content && whole.at_once.forwarded.empty() &&
         closed_for_want_of_content(now.at_once, whole.at_once) &&
         closed_for_want_of_content(now.later, whole.later);
}

constexpr const char* kCategories[] = {
    "proxy",       "chunked",       "content-length", "connect", "haproxy",     "h1spec",
    "http11probe", "header-octets", "http-garden",    "llhttp",  "portswigger", "desync-guardian"};

TEST(SplitRequestsCorpus, HasNoOtherCategories) {
  const std::vector<std::string> all = test::corpus_categories(kCorpus, "request");
  EXPECT_TRUE(std::ranges::is_permutation(all, kCategories));
}

class SplitRequests : public testing::TestWithParam<const char*> {};

TEST_P(SplitRequests, HaveTheOutcomeOfTheWholeOne) {
  for (const CorpusCase& each : test::read_corpus(kCorpus, "request", GetParam())) {
    SCOPED_TRACE(each.name());
    // What goes to the destination is a ClientHello, which is never the same twice: see tls_test.
    if (each.id == "R-abs-https") continue;
    test::ManualLoop loop;
    Gateway gateway(loop, kYaml);
    gateway.connector.dialer().refuse("127.0.0.1:1");
    const Both whole = play(gateway, each, {}, false);
    for (const Arrival& arrival : test::arrivals(each.bytes.size())) {
      for (const bool used_before : {false, true}) {
        SCOPED_TRACE(arrival.name() + (used_before ? ", on a used connection" : ""));
        const Both now = play(gateway, each, arrival, used_before);
        EXPECT_TRUE(same(now, whole, each, arrival)) << now << "\nwhole:\n" << whole;
        if (HasFailure()) break;
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
INSTANTIATE_TEST_SUITE_P(Corpus, SplitRequests, testing::ValuesIn(kCategories), parameter_name);

}  // namespace
}  // namespace egret::proxy
