#include "proxy/pour.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace egret::proxy {
namespace {

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

// Decodes what the buffer has into `batch`, without consuming it: the batch points into it.
Result<size_t> gather(Source& source, Batch& batch) {
  size_t used = 0;
  while (!source.decoder.done() && !batch.full()) {
    const std::string_view rest = source.buffer.view().substr(used);
    if (rest.empty()) break;
    const Result<http::BodyDecoder::Step> step = source.decoder.next(rest);
    if (!step) return Unexpected(source.reasons.malformed, step.error().detail);
    used += step->consumed;
    source.count += step->content.size();
    // A chunk that cannot be taken whole is refused before it comes.
    if (source.count + source.decoder.announced() > source.limit) {
      return Unexpected(source.reasons.too_large,
                        "more than " + std::to_string(source.limit) + " bytes of content");
    }
    if (!step->content.empty()) batch.content(step->content);
    if (step->consumed == 0) break;
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

}  // namespace

Deadline Pace::next() const {
  return std::min(deadline_after(async::Scheduler::current().now(), idle), total);
}

Reason Pace::reason(Reason gap) const {
  return async::Scheduler::current().now() >= total ? Reason::total_timeout : gap;
}

async::Task<Result<>> pour(Source& source, Sink& sink, Pace pace) {
  Rate rate(pace.min_rate);
  rate.came(source.buffer.size());
  while (true) {
    Batch batch(sink);
    const Result<size_t> used = gather(source, batch);
    if (!used) co_return Unexpected(used.error());
    const bool done = source.decoder.done();
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

    const std::span<char> space = source.buffer.space();
    const Deadline next = pace.next();
    const Deadline until = std::min(next, rate.until());
    const net::Io got = co_await source.stream.read_some(space, until);
    if (got.ok()) {
      rate.came(got.bytes);
      source.buffer.commit(got.bytes);
    } else if (got.status == net::Io::Status::timed_out && until < next) {
      co_return Unexpected(source.reasons.too_slow,
                           "less than " + std::to_string(pace.min_rate) + " bytes a second");
    } else if (got.status != net::Io::Status::closed || !source.decoder.finish()) {
      co_return Unexpected(source_failure(source, got, pace));
    }
  }
}

}  // namespace egret::proxy
