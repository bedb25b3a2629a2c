#include "proxy/head_reader.h"

#include <algorithm>

#include "proxy/http/parser.h"

namespace egret::proxy {
namespace {

using Outcome = HeadRead::Outcome;

HeadRead ended(const net::Io& io, bool nothing_yet) {
  HeadRead read;
  read.error = io.error;
  switch (io.status) {
    case net::Io::Status::closed:
      read.outcome = nothing_yet ? Outcome::nothing : Outcome::cut_short;
      break;
    case net::Io::Status::timed_out:
      read.outcome = Outcome::timed_out;
      break;
    default:
      read.outcome = Outcome::failed;
  }
  return read;
}

HeadRead outcome(Outcome what) {
  HeadRead read;
  read.outcome = what;
  return read;
}

// Looks at what is there; nothing when more bytes are needed.
std::optional<HeadRead> look(Buffer& buffer, size_t& scanned, size_t limit) {
  const Result<size_t> size = http::find_head_end(buffer.view(), scanned);
  HeadRead read;
  if (!size) {
    read.outcome = Outcome::malformed;
    read.failure = size.error();
    return read;
  }
  if (*size > limit || (*size == 0 && buffer.size() >= limit)) {
    read.outcome = Outcome::too_large;
    return read;
  }
  if (*size == 0) return std::nullopt;
  read.size = *size;
  return read;
}

}  // namespace

std::optional<HeadRead> head_at_hand(Buffer& buffer, HeadOf whose, size_t limit) {
  if (whose == HeadOf::request && buffer.view().starts_with('\r')) return std::nullopt;
  if (buffer.empty()) return std::nullopt;
  size_t scanned = 0;
  return look(buffer, scanned, limit);
}

async::Task<HeadRead> read_head(net::Stream& stream, Buffer& buffer, HeadOf whose, size_t limit,
                                Deadline deadline) {
  size_t scanned = 0;
  bool may_skip = whose == HeadOf::request;
  while (true) {
    if (may_skip && buffer.size() >= 2) {
      const size_t empty_line = http::leading_crlf(buffer.view());
      buffer.consume(empty_line);
      may_skip = false;
    }
    if (!buffer.empty() && (!may_skip || buffer.view() != "\r")) {
      std::optional<HeadRead> read = look(buffer, scanned, limit);
      if (read) co_return std::move(*read);
    }
    if (buffer.full()) {
      const bool grown =
          buffer.grow(std::min(2 * buffer.capacity(), limit + BufferPool::kBytes),
                      whose == HeadOf::answer ? MemoryFor::answer : MemoryFor::request);
      if (!grown) co_return outcome(Outcome::no_memory);
    }
    if (!buffer.empty()) stream.expect_more();
    const std::span<char> space = buffer.space();
    const net::Io io = co_await stream.read_some(space, deadline);
    if (!io.ok()) co_return ended(io, buffer.empty());
    buffer.commit(io.bytes);
  }
}

}  // namespace egret::proxy
