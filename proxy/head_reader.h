#pragma once

#include <cstddef>
#include <optional>

#include "base/result.h"
#include "proxy/async/task.h"
#include "proxy/buffer.h"
#include "proxy/net/stream.h"

namespace egret::proxy {

// What came of waiting for a head.
struct HeadRead {
  enum class Outcome : uint8_t {
    complete,   // `size` bytes at the front of the buffer
    nothing,    // the peer closed, or nothing can be read, before the first byte
    cut_short,  // the peer closed within the head
    timed_out,  //
    failed,     // `error` is an errno
    too_large,  // more than `limit` bytes and no end
    no_memory,  // the buffer may not grow
    malformed   // `failure` says what
  };
  Outcome outcome = Outcome::complete;
  size_t size = 0;
  int error = 0;
  Failure failure;
};

// Whose head is read. Only before a request is one empty line skipped (RFC 9112 2.2).
enum class HeadOf : uint8_t { request, answer };

// The head that is in `buffer` whole already, or why none can come of what is there; nothing when
// more bytes are needed. The usual case, without a coroutine.
std::optional<HeadRead> head_at_hand(Buffer& buffer, HeadOf whose, size_t limit);

// Reads until a whole head is at the front of `buffer`, which grows up to `limit` bytes. Bytes that
// are there already count.
//   `deadline` is for the whole head.
async::Task<HeadRead> read_head(net::Stream& stream, Buffer& buffer, HeadOf whose, size_t limit,
                                Deadline deadline);

}  // namespace egret::proxy
