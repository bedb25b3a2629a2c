#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http/body.h"
#include "tests/support/proxy_simulation_universe.h"
#include "tests/support/proxy_world.h"

namespace egret::test::sim {

// A bug on purpose, to see that the invariants see it.
enum class Sabotage : uint8_t {
  none,
  permits_private,  // the gateway gets a configuration that allows what the oracle denies
  answers_twice,    // a sender gets an answer a second time
  swaps_answers,    // a destination answers with another request's token
  cuts_unseen,      // what a destination did not send whole looks whole
  loses_a_line,     // the access log
  doubles_a_line,   // the access log
  keeps_a_buffer,   // something is still held at the end
  waits_too_long,   // a timeout is longer than the oracle's
  forwards_twice,   // a request reaches a destination once more
  retries_more,     // attempts beyond those of the configuration
  follows_more,     // redirects that the configuration does not follow
};

inline constexpr int kCutShort = -1;

// One request that a sender means to send, and what has become of it.
struct Request {
  std::string token;  // stands in its path, a field and its content
  size_t sender = 0;
  bool polite = true;     // well-formed, and so to be answered for
  bool stranger = false;  // from a network of no sender
  std::string method;
  std::string host;  // as in the URL
  size_t slot = 0;
  uint16_t port = 0;
  // As the Host that a destination of its own origin gets.
  [[nodiscard]] std::string authority() const {
    return port == 80 ? host : host + ":" + std::to_string(port);
  }
  std::string body;
  bool expects = false;
  bool closes = false;  // it is the sender's last
  bool repeatable = false;
  std::string wire;
  size_t head_size = 0;
  TimePoint sent_at{};  // of its first byte
  int answered = 0;     // the status of its final answer, or kCutShort

  // At destinations.
  int seen = 0;
  struct Led {
    size_t slot = 0;
    uint16_t port = 0;
  };
  std::vector<Led> led;  // where redirects told it to go
  struct Answered {
    int status = 0;
    std::string body;
    bool complete = false;
  };
  std::deque<Answered> answers;
  // A tunnel's bytes, each end's own.
  size_t up_sent = 0, down_sent = 0;
  bool up_finished = false, down_finished = false;
};

// The bytes that `token` stands for: a content's, a tunnel's.
std::string content_of(std::string_view token, size_t size);
// True for a piece of them that begins at `position`.
bool is_content(std::string_view token, size_t position, std::string_view piece);
// Every token in `text`, each once in a row.
std::vector<std::string_view> tokens_in(std::string_view text);
inline constexpr size_t kTokenSize = 12;

// Takes messages off bytes that come in pieces.
class MessageReader {
 public:
  enum class Event : uint8_t { none, head, whole, bad };
  void add(std::string_view bytes) { bytes_ += bytes; }
  // What there is next. `kind` matters when a head is next.
  Event next(Kind kind);
  // The connection has ended: true when that made the message whole.
  bool finish() { return in_body_ && decoder_.finish(); }
  [[nodiscard]] bool in_body() const { return in_body_; }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  [[nodiscard]] const Message& message() const { return message_; }

 private:
  std::string bytes_;
  Message message_;
  http::BodyDecoder decoder_;
  bool in_body_ = false;
};

// What one run has in common: its dice, the world, every request, what went wrong, the trace.
class Stage {
 public:
  Stage(uint64_t seed, Sabotage with) : dice(seed), sabotage(with), universe(dice) {}

  Request& make_request(size_t sender);
  // The request of that token, or null: a mutation made it up.
  Request* find(std::string_view token);
  void wrong(std::string what);
  void note(std::string what);
  // A configuration came into force.
  void begin_era(Config config);
  [[nodiscard]] const Config& config() const { return eras_.back().config; }
  // Whether any configuration in force since then permits it, to strangers or to those it knows.
  enum class Who : uint8_t { known, stranger, anyone };
  [[nodiscard]] bool permitted_since(TimePoint when, const Place& place, Who who) const;
  [[nodiscard]] Duration longest_exchange() const;
  // The most that any configuration so far allowed, of attempts and of hops.
  [[nodiscard]] int most_attempts() const;
  [[nodiscard]] int most_redirects() const;
  // Whether any configuration so far cut answers at `size`.
  [[nodiscard]] bool cuts_at(size_t size) const;

  ManualLoop loop;
  Dice dice;
  const Sabotage sabotage;
  Universe universe;
  std::deque<Request> requests;
  const std::string poison = "tokffffffffx";  // in bytes that no sender may ever get
  // Senders expect 100 (Continue): then a connection may be taken and wait for its request.
  const bool expecting = dice.percent(50);
  const bool hostile = dice.percent(50);  // bytes were sent that may mean anything
  std::vector<std::string> violations;
  std::vector<std::string> trace;

 private:
  struct Era {
    Config config;
    TimePoint until = TimePoint::max();
  };
  std::vector<Era> eras_;
  std::map<std::string, Request*, std::less<>> by_token_;
};

}  // namespace egret::test::sim
