#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace egret::queue {

// Where a delivery is. Only the last three are kept for `queue.retention` and then forgotten.
enum class State : uint8_t {
  queued,     // waits until it is due
  running,    // lent: an attempt is under way, or about to be
  delivered,  // its destination has answered with a success
  dead,       // no attempt is left, or its destination wants no more
  cancelled   // by the operator
};
std::string_view to_string(State state);
std::optional<State> parse_state(std::string_view word);

// What is kept of a request so that it can be sent when its sender has long gone. No key is in it:
// a delivery is signed at each attempt, by the keys that its rule has then.
struct NewDelivery {
  std::string id;           // delivery_id(); a store may change its number (Accepted::id says)
  std::string webhook_id;   // the same in every attempt
  std::string sender;       // by name; empty: senders are not told apart
  std::string rule;         // that took it, for who looks at it; every attempt is judged anew
  std::string method;       //
  std::string destination;  // as text that is safe to print: no query, no userinfo
  std::string host;
  std::string lane;    // deliveries of one lane share its window; another lane never waits for them
  bool fifo = false;   // one at a time, in the order of acceptance
  uint32_t width = 1;  // most attempts of the lane under way at once
  std::string idempotency_key;  // empty: none
  std::string digest;           // of what the key stands for; the same key and digest: the same
  std::string head;             // complete, in absolute-form, with the length of `body`
  std::string body;
  WallTime accepted;
  WallTime due;        // the first attempt of the queue's
  uint32_t tries = 0;  // of the schedule, made already while the sender waited
};

struct Accepted {
  std::string id;
  bool known = false;           // by its Idempotency-Key: nothing new was stored
  bool differs = false;         // known, but it stands for another request: refuse it
  State state = State::queued;  // as it is kept; dead at once, when its endpoint is switched off
};

// "dlv_", a number (of at most 55 bits) and 24 letters and digits that nobody can guess. By its
// number a store may find it, without an index of ids.
std::string delivery_id(int64_t number, std::string_view unguessable);
// Nothing: it is of another form.
std::optional<int64_t> number_in(std::string_view delivery_id);
constexpr size_t kUnguessable = 24;

// A delivery that is due, lent to the dispatcher until it is settled.
struct Claimed {
  int64_t number = 0;  // the store's own
  int64_t lane = 0;
  int64_t fence = 0;  // of this loan; the store's own
  std::string id;
  std::string sender;
  uint32_t tries = 0;  // since it was accepted or replayed; not this one
  std::string head;
  std::string body;
  bool ahead = false;  // it has no place of its own: begun once another of the lane has ended
};

// What a claim asks for.
struct Wanted {
  size_t most = 0;          // deliveries
  uint64_t most_bytes = 0;  // of content: no more than the one that passes it
  // Of these lanes, more than their windows hold: what is lent of them goes well, and who has to
  // ask for each next one waits for a commit each time.
  struct Ahead {
    int64_t lane = 0;
    size_t most = 0;
  };
  std::vector<Ahead> ahead = {};
  uint64_t ahead_bytes = 0;
};

// What came of one attempt, for whoever asks later. Times in milliseconds, as in the access log.
struct Attempt {
  WallTime began;
  int64_t resolve_ms = 0;
  int64_t connect_ms = 0;
  int64_t tls_ms = 0;
  int64_t wait_ms = 0;
  int64_t total_ms = 0;
  int status = 0;  // the destination's; 0: it did not answer
  std::string reason =
      {};  // why there was no answer, or none that counts; a Reason's name, or empty
  std::string detail = {};
  std::string address = {};  // that was connected to
  std::string answer = {};   // the first bytes of its content
};

struct Settled {
  int64_t number = 0;
  int64_t lane = 0;
  int64_t fence = 0;            // as it was claimed
  State state = State::queued;  // never running
  WallTime due = {};            // of queued
  // Nothing: it was not tried. It is given back as it was, and its lane held until `due`.
  std::optional<Attempt> attempt = {};
  bool well = false;  // its destination answered as it should: the lane may widen
  // Nothing of the lane is claimed before then: its destination takes nothing now.
  std::optional<WallTime> hold = {};
  // Its place among what the lane's window holds is free: not when one that was lent ahead has
  // taken it, nor of one lent ahead that was not begun.
  bool leaves_place = true;
  // The destination itself failed: it counts towards disable_after.
  bool blame = false;
  // Its endpoint is to be switched off: now, for this reason; or when it has failed for so long.
  std::string disable_why = {};
  std::optional<Duration> disable_after = {};
};

// What fails or was switched off: nothing is delivered there then, and what is queued for it
// becomes dead, to be replayed once it is switched on. By its own word or for its failures a URL (a
// word that is said at one URL says nothing of what else its host serves), by the operator a host.
struct Endpoint {
  std::string host;
  std::string url;                        // NewDelivery::destination; empty: the whole host
  std::optional<WallTime> failing_since;  // nothing has succeeded since then
  std::optional<WallTime> disabled;       // since then
  std::string why;                        // it was disabled
};
// Fewer failures than this say nothing, however long ago the first was.
constexpr int64_t kFewestFailures = 5;
// A failure after that long is the first one again: longer than the longest built-in wait between
// attempts (24 h and its jitter).
constexpr Duration kSilence = std::chrono::hours(48);
// How long it is known that an endpoint has failed, after its last failure.
constexpr Duration kFailingKept = std::chrono::hours(24 * 7);

// Which deliveries, newest first.
struct Filter {
  std::optional<State> state = {};
  std::string host = {};
  std::string sender = {};
  std::optional<WallTime> since = {};  // accepted then or later
  int64_t before = INT64_MAX;          // the cursor
  uint32_t limit = 100;
};

struct Listed {
  int64_t number = 0;
  std::string id, webhook_id, sender, rule, method, destination;
  State state = State::queued;
  uint32_t attempts = 0;
  WallTime accepted;
  WallTime due;                      // of queued
  std::optional<WallTime> finished;  // delivered, dead or cancelled
  uint64_t size = 0;                 // bytes of content
};

// A page looks at a bounded number of deliveries: it may hold fewer than its limit, or none, and
// still not be the last.
struct Page {
  std::vector<Listed> deliveries;
  std::optional<int64_t> next;  // the cursor; nothing: that was all
};

// What a page of a filter came to when it was replayed.
struct Replayed {
  uint64_t count = 0;
  std::optional<int64_t> next;  // the cursor; nothing: that was all
};

struct Shown {
  Listed delivery;
  std::vector<Attempt> attempts;
};

struct Content {
  std::string head;
  std::string body;
};

struct Stats {
  uint64_t queued = 0;  // running too
  uint64_t running = 0;
  uint64_t delivered = 0;          // kept
  uint64_t dead = 0;               // kept
  uint64_t cancelled = 0;          // kept
  uint64_t disabled = 0;           // endpoints
  uint64_t evicted = 0;            // dead ones forgotten early, to make room; since it was opened
  uint64_t bytes = 0;              // of heads, contents and attempts of all that are kept
  std::optional<WallTime> oldest;  // acceptance of the oldest that is queued or running
};

}  // namespace egret::queue
