#include "proxy/pour.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace egret::proxy {
namespace {

// Nothing more of the content is wanted.
bool over(const Source& source) { return source.truncated || source.decoder.done(); }

// The pieces of one write: the head, then content with its chunk framing.
class Batch {
 public:
  explicit Batch(Sink& sink) : chunked_(sink.chunked) {
    if (!sink.head.empty()) add(sink.head);
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] bool full() const { return chunks_ == kChunks; }
  std::span<iovec> pieces() { return {pieces_.data(), count_}; }

  void content(std::string_view bytes) {
    if (!chunked_) {
      add(bytes);
    } else {
      char* head = chunk_heads_[chunks_].data();
      add({head, http::write_chunk_head(head, bytes.size())});
      add(bytes);
      add("\r\n");
    }
    ++chunks_;
  }
  void end() {
    if (chunked_) add(http::kLastChunk);
  }

 private:
  static constexpr size_t kChunks = 8;
  void add(std::string_view bytes) {
    pieces_[count_++] = {const_cast<char*>(bytes.data()), bytes.size()};
  }
  bool chunked_;
  std::array<iovec, 3 * kChunks + 2> pieces_;
  std::array<std::array<char, 20>, kChunks> chunk_heads_;
  size_t count_ = 0;
  size_t chunks_ = 0;
};

// The next piece of content at `used` in the buffer; nothing of it is consumed yet. Empty when more
// must come, or the content is over.
Result<std::string_view> next_piece(Source& source, size_t& used) {
  while (!over(source)) {
    const std::string_view rest = source.buffer.view().substr(used);
    if (rest.empty()) break;
    const Result<http::BodyDecoder::Step> step = source.decoder.next(rest);
    if (!step) return Unexpected(source.reasons.malformed, step.error().detail);
    used += step->consumed;
    std::string_view content = step->content;
    // A chunk that cannot be taken whole is refused before it comes.
    const uint64_t known = source.count + content.size();
    if (known + source.decoder.announced() > source.limit) {
      if (!source.truncate) {
        return Unexpected(source.reasons.too_large,
                          "more than " + std::to_string(source.limit) + " bytes of content");
      }
      source.truncated = known >= source.limit;
      if (source.truncated) content = content.substr(0, source.limit - source.count);
    }
    source.count += content.size();
    if (!content.empty()) return content;
    if (step->consumed == 0) break;
  }
  return std::string_view();
}

// Decodes what the buffer has into `batch`, without consuming it: the batch points into it.
Result<size_t> gather(Source& source, Batch& batch) {
  size_t used = 0;
  while (!batch.full()) {
    const Result<std::string_view> piece = next_piece(source, used);
    if (!piece) return Unexpected(piece.error());
    if (piece->empty()) break;
    batch.content(*piece);
  }
  return used;
}

Failure source_failure(const Source& source, const net::Io& io, const Pace& pace) {
  switch (io.status) {
    case net::Io::Status::timed_out:
      return {pace.reason(source.reasons.timed_out), "the content stopped arriving"};
    case net::Io::Status::closed:
      return {source.reasons.closed, "closed before the end of the content"};
    default:
      return {source.reasons.failed, std::strerror(io.error)};
  }
}

// Until when a source may go on waiting for its next bytes and still keep its rate.
class Rate {
 public:
  explicit Rate(uint64_t least) : least_(least), began_(async::Scheduler::current().now()) {}
  void came(size_t bytes) { bytes_ += bytes; }
  // Somebody else's time.
  void leave_out(Duration taken) { began_ += taken; }
  [[nodiscard]] Deadline until() const {
    if (least_ == 0) return kNever;
    const Duration earned = std::chrono::seconds(std::min(bytes_ / least_, kMostSeconds));
    return deadline_after(began_, std::max(kSlowStart, earned));
  }

 private:
  static constexpr uint64_t kMostSeconds = 1'000'000'000;
  uint64_t least_;
  uint64_t bytes_ = 0;
  TimePoint began_;
};

Failure sink_failure(const Sink& sink, const net::Io& io, const Pace& pace) {
  if (io.status == net::Io::Status::timed_out) {
    return {pace.reason(sink.timed_out), "nothing more was taken"};
  }
  return {sink.failed, std::strerror(io.error)};
}

// Reads what comes next into the source's buffer.
async::Task<Result<>> read_more(Source& source, Rate& rate, Pace pace) {
  if (!source.awaited) source.stream.expect_more();
  source.awaited = true;
  const std::span<char> space = source.buffer.space();
  const Deadline next = pace.next();
  const Deadline until = std::min(next, rate.until());
  const net::Io got = co_await source.stream.read_some(space, until);
  if (got.ok()) {
    rate.came(got.bytes);
    source.buffer.commit(got.bytes);
    co_return Result<>();
  }
  if (got.status == net::Io::Status::timed_out && until < next) {
    co_return Unexpected(source.reasons.too_slow,
                         "less than " + std::to_string(pace.min_rate) + " bytes a second");
  }
  const bool ended = got.status == net::Io::Status::closed && source.decoder.finish();
  if (!ended) co_return Unexpected(source_failure(source, got, pace));
  co_return Result<>();
}

// Doubles, so that a sender pays for what it has sent and not for what it has announced.
bool append(Buffer& into, std::string_view bytes) {
  const size_t needed = into.size() + bytes.size();
  const bool fits = needed <= into.capacity() ||
                    into.grow(std::max(needed, 2 * into.capacity()), MemoryFor::request) ||
                    into.grow(needed, MemoryFor::request);
  if (!fits) return false;
  std::memcpy(into.space().data(), bytes.data(), bytes.size());
  into.commit(bytes.size());
  return true;
}

}  // namespace

Deadline Pace::next() const {
  return std::min(deadline_after(async::Scheduler::current().now(), idle), total);
}

Reason Pace::reason(Reason gap) const {
  return async::Scheduler::current().now() >= total ? Reason::total_timeout : gap;
}

async::Task<Result<>> collect(Source& source, Buffer& into, Pace pace) {
  Rate rate(pace.min_rate);
  rate.came(source.buffer.size());
  while (true) {
    size_t used = 0;
    while (true) {
      const Result<std::string_view> piece = next_piece(source, used);
      if (!piece) co_return Unexpected(piece.error());
      if (piece->empty()) break;
      if (!append(into, *piece)) {
        co_return Unexpected(Reason::memory_limit, "The content needs more of buffer_memory.");
      }
    }
    source.buffer.consume(used);
    if (over(source)) co_return Result<>();
    Result<> more = co_await read_more(source, rate, pace);
    if (!more) co_return more;
  }
}

async::Task<Result<>> pour(Source& source, Sink& sink, Pace pace) {
  Rate rate(pace.min_rate);
  rate.came(source.buffer.size());
  while (true) {
    Batch batch(sink);
    const Result<size_t> used = gather(source, batch);
    if (!used) co_return Unexpected(used.error());
    const bool done = over(source);
    if (done) batch.end();
    if (!batch.empty()) {
      sink.started = true;
      const std::span<iovec> pieces = batch.pieces();
      const Deadline until = pace.next();
      const TimePoint began = async::Scheduler::current().now();
      const net::Io put = co_await sink.stream.write_all(pieces, until);
      rate.leave_out(async::Scheduler::current().now() - began);
      sink.broken = !put.ok();
      if (sink.broken) co_return Unexpected(sink_failure(sink, put, pace));
      sink.head.clear();
    }
    source.buffer.consume(*used);
    if (done) co_return Result<>();
    if (!source.buffer.empty()) continue;  // the batch was full

    Result<> more = co_await read_more(source, rate, pace);
    if (!more) co_return more;
  }
}

}  // namespace egret::proxy
