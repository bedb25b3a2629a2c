#pragma once

#include <string>

#include "base/result.h"
#include "proxy/async/task.h"
#include "proxy/buffer.h"
#include "proxy/http/body.h"
#include "proxy/net/stream.h"

namespace egret::proxy {

// A source may be slow for so long before its rate counts: slow start, a busy machine, a short
// break.
inline constexpr Duration kSlowStart = std::chrono::seconds(5);

// How long the two ends may take: never longer than `idle` between two bytes, nor past `total`; and
// after a start of kSlowStart the source must have kept `min_rate` on average.
struct Pace {
  Duration idle = Duration::max();
  Deadline total = kNever;
  uint64_t min_rate = 0;  // bytes a second; 0: any
  [[nodiscard]] Deadline next() const;
  // The reason for a wait that ended at next(): `gap`, unless the whole exchange's time is up.
  [[nodiscard]] Reason reason(Reason gap) const;
};

// What to say when an end of a pour() fails.
struct EndReasons {
  Reason timed_out;
  Reason too_slow;
  Reason closed;     // a source's early end
  Reason failed;     // reset, or a sink that is gone
  Reason malformed;  // of the framing
  Reason too_large;
};
inline constexpr EndReasons kSenderReasons{
    Reason::request_timeout,     Reason::request_too_slow,  Reason::sender_disconnected,
    Reason::sender_disconnected, Reason::request_malformed, Reason::request_body_too_large};
inline constexpr EndReasons kDestinationReasons{
    Reason::idle_timeout,          Reason::response_too_slow,  Reason::response_incomplete,
    Reason::connection_terminated, Reason::response_malformed, Reason::response_body_too_large};

// Where content comes from: a stream with bytes read ahead, in the message's framing.
struct Source {
  net::Stream& stream;
  Buffer& buffer;
  http::BodyDecoder decoder;
  EndReasons reasons;
  uint64_t limit;   // of content
  uint64_t& count;  // of content so far; true when pour() is cancelled too
  // Content over the limit is left out instead of refused; `truncated` says that it was.
  bool truncate = false;
  bool truncated = false;
  bool awaited = false;  // it did not come with its head
};

// Where content goes. `head` leaves before the first content, in the same write when there is any.
struct Sink {
  net::Stream& stream;
  bool chunked = false;
  Reason timed_out;
  Reason failed;
  std::string head;
  bool started = false;  // something was written
  bool broken = false;   // the failure was the sink's
};

// Reads one message's content whole into `into`, an empty buffer of a pool, which grows as it
// comes.
//   Errors: the source's reason; total_timeout past pace.total; memory_limit.
async::Task<Result<>> collect(Source& source, Buffer& into, Pace pace);

// Moves one message's content from source to sink with at most one buffer of it in memory: the
// source is read only when the sink has taken what came before.
//   Errors: the source's or sink's reason; total_timeout past pace.total.
//   The time that the sink takes is not held against the source's rate. A sink must take each
//   batch, at most a buffer, within pace.idle, which is a rate too.
async::Task<Result<>> pour(Source& source, Sink& sink, Pace pace);

}  // namespace egret::proxy
