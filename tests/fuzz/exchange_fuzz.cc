// Whole exchanges: a sender's bytes, a destination's and a name server's, through the gateway in
// memory, until every deadline has passed. Sections of an input, with "\n%%\n" between them:
//   1. control bytes, see Controls      2. what the sender sends
//   3. what each destination says; "\n=\n" between what it says after one request and the next
//   4. the name server's reply for A    5. the one for AAAA
#include <gtest/gtest.h>

#include <cstdint>
#include <set>

#include "proxy/http/parser.h"
#include "proxy/net/dns_reply.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/proxy_simulation_stage.h"

namespace egret::test::fuzz {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kTimeouts =
    "  timeouts: {resolve: 1s, connect: 1s, response: 2s, idle: 2s, total: 3s, tunnel: 4s}\n"
    "  limits: {request_body: 2KiB, response_body: 2KiB, headers: 2KiB}\n";
constexpr std::string_view kStrict = "defaults:\n";
constexpr std::string_view kLoose =
    "mode: report\ndefaults:\n  addresses: {allow: [10.1.0.0/16], mixed: filter}\n";
// Every deadline of one exchange, and the moment after it that bytes are still read.
constexpr Duration kLongest = 20s;

std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  for (size_t at = text.find(separator); at != std::string_view::npos; at = text.find(separator)) {
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> sections_of(std::string_view input) {
  std::vector<std::string_view> sections = split(input, "\n%%\n");
  sections.resize(5);
  return sections;
}

struct Controls {
  size_t sender_piece;       // 0: all at once
  size_t destination_piece;  // the same
  bool sender_finishes, sender_resets, destination_finishes, destination_resets;
  bool loose;          // the other configuration
  bool reloads;        // to the other one, after the first piece
  bool small;          // nobody takes more than a few bytes at once
  bool between_steps;  // pieces come before what the last one set off is done

  explicit Controls(std::string_view bytes) {
    const auto byte = [bytes](size_t i) {
      return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U;
    };
    // Digits and letters, so that an input can be written by hand: '0' is none.
    sender_piece = byte(0) - std::min(byte(0), 48U);
    destination_piece = byte(1) - std::min(byte(1), 48U);
    const unsigned ends = byte(2);
    sender_finishes = (ends & 1) != 0;
    sender_resets = (ends & 2) != 0;
    destination_finishes = (ends & 4) != 0;
    destination_resets = (ends & 8) != 0;
    const unsigned how = byte(3);
    loose = (how & 1) != 0;
    reloads = (how & 2) != 0;
    small = (how & 4) != 0;
    between_steps = (how & 8) != 0;
  }
};

// Says of every name what the bytes say.
class DnsOfBytes final : public net::Resolver {
 public:
  DnsOfBytes(std::string_view ipv4, std::string_view ipv6) : ipv4_(ipv4), ipv6_(ipv6) {}
  async::Task<Result<net::Answer>> resolve(std::string name, Deadline) override {
    const Result<net::Answer> ipv4 = net::parse_reply(name, net::RecordType::a, bytes(ipv4_));
    const Result<net::Answer> ipv6 = net::parse_reply(name, net::RecordType::aaaa, bytes(ipv6_));
    co_return net::merge(ipv4, ipv6);
  }

 private:
  static std::span<const uint8_t> bytes(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }
  std::string_view ipv4_;
  std::string_view ipv6_;
};

class Exchanges {
 public:
  explicit Exchanges(std::string_view input) : sections_(sections_of(input)) {
    answers_ = split(sections_[2], "\n=\n");
    gateway_.services.resolver = make_resolver();
  }
  void run();

 private:
  struct Destination {
    ScriptedPeer peer;
    std::string got;       // all of it
    size_t answer = 0;     // the next
    std::string_view out;  // the rest of the one that is being said
    bool over = false;
  };
  std::shared_ptr<net::CachingResolver> make_resolver() {
    return std::make_shared<net::CachingResolver>(dns_, net::CacheLimits{});
  }
  static std::string yaml(bool loose) {
    return std::string(loose ? kLoose : kStrict) + std::string(kTimeouts);
  }
  void send_piece(ScriptedPeer& sender, std::string_view& rest);
  bool answer(Destination& destination) const;
  void meet_destinations();
  void let_happen();
  void check_dials();
  void check_requests();
  void check_answers(std::string bytes);
  void check_lines();

  const int streams_before_ = MemoryStream::alive();
  std::vector<std::string_view> sections_;
  std::vector<std::string_view> answers_;
  const Controls controls_{sections_[0]};
  ManualLoop loop_;
  DnsOfBytes dns_{sections_[3], sections_[4]};
  Gateway gateway_{loop_, yaml(controls_.loose)};
  std::vector<Destination> destinations_;
  size_t dials_seen_ = 0;
};

void Exchanges::let_happen() {
  if (controls_.between_steps) {
    loop_.step();
  } else {
    loop_.run_until_idle();
  }
  meet_destinations();
}

void Exchanges::meet_destinations() {
  check_dials();
  auto& accepted = gateway_.connector.dialer().accepted();
  while (destinations_.size() < accepted.size()) {
    destinations_.push_back({accepted[destinations_.size()].peer, {}, 0, {}, false});
    if (controls_.small) destinations_.back().peer.set_capacity(7);
  }
}

void Exchanges::send_piece(ScriptedPeer& sender, std::string_view& rest) {
  const size_t piece = controls_.sender_piece == 0 ? rest.size() : controls_.sender_piece;
  sender.feed(rest.substr(0, piece));
  rest.remove_prefix(std::min(piece, rest.size()));
}

// Reads, and says the next piece of an answer. False when it had nothing to do.
bool Exchanges::answer(Destination& destination) const {
  const std::string more = destination.peer.take_received();
  destination.got += more;
  if (destination.over) return !more.empty();
  if (destination.out.empty() && destination.answer < answers_.size()) {
    // As many answers as empty lines came: a guess at the requests that is good enough.
    const size_t requests = split(destination.got, "\r\n\r\n").size() - 1;
    if (requests > destination.answer) destination.out = answers_[destination.answer++];
  }
  if (!destination.out.empty()) {
    const size_t most = controls_.destination_piece;
    const std::string_view piece = destination.out.substr(0, most == 0 ? SIZE_MAX : most);
    destination.peer.feed(piece);
    destination.out.remove_prefix(piece.size());
    return true;
  }
  const bool ends = controls_.destination_finishes || controls_.destination_resets;
  if (ends && destination.answer == answers_.size()) {
    destination.over = true;
    if (controls_.destination_resets) {
      destination.peer.reset();
    } else {
      destination.peer.finish();
    }
    return true;
  }
  return !more.empty();
}

void Exchanges::run() {
  FarEnd sender = gateway_.connect({.capacity = controls_.small ? size_t{7} : SIZE_MAX});
  std::string_view rest = sections_[1];
  std::string received;
  bool reload = controls_.reloads;
  bool moving = true;
  while (moving || loop_.step()) {
    moving = !rest.empty();
    if (moving) send_piece(sender.peer(), rest);
    let_happen();
    for (Destination& destination : destinations_) moving |= answer(destination);
    const std::string more = sender.peer().take_received();
    received += more;
    moving |= !more.empty();
    if (!std::exchange(reload, false)) continue;
    gateway_.reload(yaml(!controls_.loose));
    gateway_.services.resolver = make_resolver();
  }
  if (controls_.sender_resets) {
    sender.peer().reset();
  } else if (controls_.sender_finishes) {
    sender.peer().finish();
  }
  // Nobody moves any more. Each request that is left may take all its time.
  for (size_t i = 0; i <= sections_[1].size() && gateway_.serving_now() > 0; ++i) {
    loop_.advance(kLongest);
    received += sender.peer().take_received();
    meet_destinations();
  }
  for (Destination& destination : destinations_)
    destination.got += destination.peer.take_received();
  EGRET_FUZZ_CHECK(gateway_.serving_now() == 0);
  EGRET_FUZZ_CHECK(gateway_.still_open().empty());
  gateway_.pool.clear();
  EGRET_FUZZ_CHECK(MemoryStream::alive() == streams_before_);
  check_lines();
  check_requests();
  if (!controls_.sender_resets) check_answers(received + sender.peer().take_received());
}

void Exchanges::check_dials() {
  const auto& dialled = gateway_.connector.dialled();
  for (; dials_seen_ < dialled.size(); ++dials_seen_) {
    const sim::Place place = sim::place_of(dialled[dials_seen_]);
    const bool allowed =
        (controls_.loose || controls_.reloads) && place.address.starts_with("10.1.");
    EGRET_FUZZ_CHECK(allowed || !sim::never_public(place.address));
  }
}

void Exchanges::check_lines() {
  EGRET_FUZZ_CHECK(gateway_.lines().size() == gateway_.services.next_request_id - 1);
  for (const std::string& line : gateway_.lines()) {
    EGRET_FUZZ_CHECK(log_value(line, "reason") != "internal_error");
    if (log_value(line, "verdict") != "denied") continue;
    EGRET_FUZZ_CHECK(log_value(line, "address").empty());
  }
}

// What reached a destination is clean requests, the last perhaps not whole, and not one that the
// log does not know of.
void Exchanges::check_requests() {
  size_t forwarded = 0;
  std::set<std::string> tunnels;
  for (const std::string& line : gateway_.lines()) {
    // A kept connection that turns out to be closed: once more.
    if (log_value(line, "attempts") != "0") forwarded += 2;
    if (log_value(line, "method") == "CONNECT") tunnels.insert(log_value(line, "address"));
  }
  size_t got = 0;
  for (size_t i = 0; i < destinations_.size(); ++i) {
    if (tunnels.contains(gateway_.connector.dialer().accepted()[i].endpoint)) continue;
    sim::MessageReader reader;
    reader.add(destinations_[i].got);
    for (auto event = reader.next(Kind::request); event != sim::MessageReader::Event::none;
         event = reader.next(Kind::request)) {
      EGRET_FUZZ_CHECK(event != sim::MessageReader::Event::bad);
      if (event != sim::MessageReader::Event::head) continue;
      ++got;
      http::RequestHead head;
      EGRET_FUZZ_CHECK(http::parse_request(reader.message().head, head).has_value());
      EGRET_FUZZ_CHECK(head.target.starts_with('/') || head.target == "*");
      EGRET_FUZZ_CHECK(head.fields.count("host") == 1 && head.fields.count("via") > 0);
      EGRET_FUZZ_CHECK(head.fields.count("connection") == 0 && !head.expect_continue);
    }
  }
  EGRET_FUZZ_CHECK(got <= forwarded);
}

// What the sender got is one final answer for each line that says so, in the same order.
void Exchanges::check_answers(std::string bytes) {
  std::vector<const std::string*> answered;
  for (const std::string& line : gateway_.lines()) {
    if (log_value(line, "status") != "0") answered.push_back(&line);
  }
  sim::MessageReader reader;
  reader.add(bytes);
  size_t answers = 0;
  while (true) {
    const bool more = answers < answered.size();
    const std::string method = more ? log_value(*answered[answers], "method") : "";
    switch (reader.next(method == "HEAD" ? Kind::answer_to_head : Kind::answer)) {
      case sim::MessageReader::Event::none:
        return;
      case sim::MessageReader::Event::bad:
        EGRET_FUZZ_CHECK(false && "an answer whose content is framed wrongly");
        return;
      case sim::MessageReader::Event::head: {
        const int status = reader.message().status();
        if (status < 200) break;
        EGRET_FUZZ_CHECK(more);
        EGRET_FUZZ_CHECK(log_value(*answered[answers], "status") == std::to_string(status));
        if (method == "CONNECT" && status == 200) return;  // the rest is a tunnel's
        break;
      }
      case sim::MessageReader::Event::whole:
        if (reader.message().status() >= 200) ++answers;
    }
  }
}

}  // namespace
}  // namespace egret::test::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // An expectation of the test support that fails is a finding.
  GTEST_FLAG_SET(break_on_failure, true);
  egret::test::fuzz::Exchanges(std::string_view(reinterpret_cast<const char*>(data), size)).run();
  return 0;
}
