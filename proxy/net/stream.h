#pragma once

#include <sys/uio.h>

#include <coroutine>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "proxy/async/scheduler.h"

namespace egret::net {

// What a read or write came to.
struct Io {
  enum class Status : uint8_t {
    ok,         // `bytes` > 0 were moved
    closed,     // read: the peer has sent everything (FIN)
    timed_out,  // nothing moved before the deadline
    failed,     // `error` is an errno: ECONNRESET, EPIPE, …
    blocked     // only from try_*: nothing can move now
  };
  Status status = Status::ok;
  int error = 0;
  size_t bytes = 0;
  [[nodiscard]] bool ok() const { return status == Status::ok; }
};

// Stream is a connected, ordered, two-way run of bytes: a TCP or Unix socket, or in tests memory.
//   Owner: one coroutine, or two when one reads and the other writes. One thread.
//   Cancel: destroying the waiting coroutine; the stream stays usable. Destroying the stream closes
//   the connection. At most one reader and one writer wait at a time.
class Stream {
 public:
  Stream() = default;
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Without waiting. read: at most one kernel call; `blocked` when nothing is there.
  virtual Io try_read(std::span<char> buffer) = 0;
  virtual Io try_write(std::span<const iovec> pieces) = 0;
  // Sends FIN after what was written; reading goes on.
  virtual void shutdown_write() = 0;
  // Makes the coming close a RST: what was sent must not be taken for whole.
  virtual void abort_on_close() = 0;
  // More of the same message is to come: what has come of it is acknowledged at once. A peer that
  // writes head and content apart, and waits for the one to be acknowledged before it sends the
  // other (Nagle, RFC 896), would wait for the kernel's delayed acknowledgement, 40 ms.
  virtual void expect_more() {}
  // One read that does not wait, for whoever was told by readable().
  Io read_now(std::span<char> buffer);
  // Asks the kernel whether an idle connection is still open with nothing to read. One call.
  virtual bool looks_alive() = 0;
  // False when bytes, or the peer's FIN, are known to be waiting. No call: what the edges told.
  [[nodiscard]] bool quiet() const { return !maybe_readable_ && !peer_closed_; }
  // The peer has closed its side or reset, as far as is known without reading. Bytes may be left.
  [[nodiscard]] bool peer_closed() const { return peer_closed_; }

  class Read;
  class Write;
  class Readable;
  // Reads at least one byte. Deadline last.
  Read read_some(std::span<char> buffer, Deadline deadline);
  // Writes everything, or fails. `pieces` is advanced in place as bytes go.
  Write write_all(std::span<iovec> pieces, Deadline deadline);
  // Waits until a read would not block, without holding a buffer meanwhile. May be wrong in the
  // harmless direction. True when readable, false when the deadline came first.
  Readable readable(Deadline deadline);
  // A read may find something, as far as is known without a call.
  [[nodiscard]] bool may_read() const {
    return !reads_held_ && (maybe_readable_ || peer_closed_ || end_may_hide_);
  }
  // Why a read or write has `failed`, when more is known than an errno; else null.
  [[nodiscard]] virtual const Failure* trouble() const { return nullptr; }

  // A stream that carries its own bytes over this one is told what became possible here, in the
  // place of waiting coroutines: of those there are none meanwhile. Null: nobody.
  class Above {
   public:
    virtual void below_readable() = 0;
    virtual void below_writable() = 0;
    virtual void below_closed() = 0;

   protected:
    ~Above() = default;
  };
  void carry(Above* above) { above_ = above; }

  // Gives back memory that nobody needs while nothing is to be read or written. It comes back with
  // the next byte.
  virtual void rest() {}

  // Ends a readable() wait as if its deadline had come: the loop has other plans.
  void nudge() {
    if (readable_waiter_ != nullptr) async::Scheduler::current().ready().post(*readable_waiter_);
  }
  // `co_await stream.until_closed()`: goes on when the peer closes or resets while nobody reads.
  class Closed;
  Closed until_closed();

 protected:
  // The implementation says what became possible. Completes waiting operations and posts.
  void on_readable();
  void on_writable();
  void on_peer_closed();
  // The edge that is being told may also be a reset: it cannot be told from bytes without asking.
  void on_perhaps_reset() { end_may_hide_ = true; }
  // No read will find out what an edge was: only then is asking the kernel worth a call.
  [[nodiscard]] bool nobody_reads() const {
    return reader_ == nullptr && readable_waiter_ == nullptr && above_ == nullptr;
  }
  // Nothing can be read, whatever is known, until on_readable() says so again.
  void hold_reads() { reads_held_ = true; }
  // The end is known before a read has told it: the next read need not wait for an edge.
  void note_end();

 private:
  Read* reader_ = nullptr;
  Write* writer_ = nullptr;
  async::ReadyNode* readable_waiter_ = nullptr;
  async::ReadyNode* closed_waiter_ = nullptr;
  async::Timer read_timer_;      // stays in the heap between operations: see Timer
  bool maybe_readable_ = false;  // an edge came, and no `blocked` or short read since
  bool peer_closed_ = false;
  // A reset may stand behind the short read that emptied the socket, its edge being used up. So the
  // next read tries before it waits; a write that succeeds meanwhile proves that there was none.
  bool end_may_hide_ = false;
  bool reads_held_ = false;
  Above* above_ = nullptr;
};

class Stream::Read {
 public:
  Read(Stream& stream, std::span<char> buffer, Deadline deadline)
      : stream_(stream), buffer_(buffer), deadline_(deadline) {}
  ~Read() { detach(); }
  Read(const Read&) = delete;
  Read& operator=(const Read&) = delete;
  bool await_ready();
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> parent) {
    suspend(parent.promise());
  }
  Io await_resume();

 private:
  friend class Stream;
  bool attempt();  // true when done: `result_` says how
  void suspend(async::ReadyNode& node);
  void detach();
  Stream& stream_;
  std::span<char> buffer_;
  Deadline deadline_;
  async::ReadyNode* node_ = nullptr;
  Io result_{.status = Io::Status::blocked};
};

class Stream::Write {
 public:
  Write(Stream& stream, std::span<iovec> pieces, Deadline deadline)
      : stream_(stream), pieces_(pieces), deadline_(deadline) {}
  ~Write() { detach(); }
  Write(const Write&) = delete;
  Write& operator=(const Write&) = delete;
  bool await_ready();
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> parent) {
    suspend(parent.promise());
  }
  Io await_resume();

 private:
  friend class Stream;
  bool attempt();
  void suspend(async::ReadyNode& node);
  void detach();
  Stream& stream_;
  std::span<iovec> pieces_;
  Deadline deadline_;
  async::Timer timer_;
  async::ReadyNode* node_ = nullptr;
  Io result_;
};

class Stream::Readable {
 public:
  Readable(Stream& stream, Deadline deadline) : stream_(stream), deadline_(deadline) {}
  ~Readable();
  Readable(const Readable&) = delete;
  Readable& operator=(const Readable&) = delete;
  bool await_ready() const { return stream_.may_read(); }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> parent) {
    suspend(parent.promise());
  }
  bool await_resume() const { return stream_.may_read(); }

 private:
  void suspend(async::ReadyNode& node);
  Stream& stream_;
  Deadline deadline_;
  bool waiting_ = false;
};

class Stream::Closed {
 public:
  explicit Closed(Stream& stream) : stream_(stream) {}
  ~Closed();
  Closed(const Closed&) = delete;
  Closed& operator=(const Closed&) = delete;
  bool await_ready() const { return stream_.peer_closed_; }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> parent) {
    stream_.closed_waiter_ = &parent.promise();
    waiting_ = true;
  }
  void await_resume() const {}

 private:
  Stream& stream_;
  bool waiting_ = false;
};

inline Stream::Read Stream::read_some(std::span<char> buffer, Deadline deadline) {
  return {*this, buffer, deadline};
}
inline Stream::Write Stream::write_all(std::span<iovec> pieces, Deadline deadline) {
  return {*this, pieces, deadline};
}
inline Stream::Readable Stream::readable(Deadline deadline) { return {*this, deadline}; }
inline Stream::Closed Stream::until_closed() { return Closed(*this); }

}  // namespace egret::net
