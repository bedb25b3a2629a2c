#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/net/stream.h"

namespace egret::test {

class MemoryStream;

// What goes wrong at one end of a connection. May be changed at any time.
struct Faults {
  size_t most_per_read = SIZE_MAX;   // the bytes come in pieces of this size, an edge before each
  size_t most_per_write = SIZE_MAX;  // a write takes no more than this at once
  bool silent = false;               // nothing arrives; what was sent comes with the next edge
  std::optional<size_t> close_after_read;   // the peer's FIN stands behind this many bytes
  std::optional<size_t> reset_after_read;   // the peer resets instead of sending more than this
  std::optional<size_t> reset_after_write;  // the peer resets when this many bytes were written
};

// A connection in memory between end 0 and end 1; an end is a MemoryStream or a ScriptedPeer.
struct Wire {
  struct End {
    MemoryStream* stream = nullptr;  // null: scripted, or gone
    std::string inbox;               // what has come; the first `taken` bytes of it were read
    size_t taken = 0;
    std::string written;         // everything this end ever wrote
    size_t capacity = SIZE_MAX;  // of inbox; the other end's writes block beyond it
    size_t bytes_in = 0;         // ever put into inbox
    bool fin_in = false;         // the other end sends no more
    bool reset_in = false;       // the other end has reset
    bool gone = false;           // closed both ways: what comes is answered by a reset
    bool other_blocked = false;  // the other end wants to know when there is room
    size_t expected_more = 0;    // how often this end has said so
    Faults faults;

    [[nodiscard]] size_t unread() const { return inbox.size() - taken; }
    size_t take(std::span<char> buffer);
  };
  End ends[2];

  // Moves bytes towards `ends[to]` as far as its faults let them through.
  void deliver(int to, std::string_view bytes);
  void finish(int to);
  void reset(int to);
};

// MemoryStream is a net::Stream over a Wire with the semantics of a TCP socket: bounded buffers,
// FIN behind the data, edges when something became possible. Edges are delivered through the ready
// list, as the kernel's come through the poll: never from inside the call that caused them.
//   Destroying it closes: FIN to the peer, or a reset after abort_on_close() or with bytes unread,
//   as the kernel does.
class MemoryStream final : public net::Stream {
 public:
  MemoryStream(std::shared_ptr<Wire> wire, int end);
  ~MemoryStream() override;

  net::Io try_read(std::span<char> buffer) override;
  net::Io try_write(std::span<const iovec> pieces) override;
  void shutdown_write() override;
  void abort_on_close() override { abort_on_close_ = true; }
  bool looks_alive() override;
  void expect_more() override { ++me().expected_more; }

  Faults& faults() { return me().faults; }
  // Everything ever written here.
  [[nodiscard]] const std::string& written() { return me().written; }
  // How many calls of try_read and try_write were made.
  [[nodiscard]] size_t reads() const { return reads_; }
  [[nodiscard]] size_t writes() const { return writes_; }
  // How many MemoryStreams exist in the program.
  static int alive() { return alive_; }

  struct Edges {
    bool readable = false;
    bool writable = false;
    bool peer_closed = false;
  };
  void notify(Edges edges);

 private:
  struct Delivery : async::ReadyNode {
    explicit Delivery(MemoryStream& owner) : ReadyNode(&run), stream(owner) {}
    static void run(ReadyNode& node);
    MemoryStream& stream;
    Edges edges;
  };
  Wire::End& me() { return wire_->ends[end_]; }
  Wire::End& other() { return wire_->ends[1 - end_]; }
  size_t room_for_writing();

  static inline int alive_ = 0;
  std::shared_ptr<Wire> wire_;
  int end_;
  bool abort_on_close_ = false;
  bool shut_ = false;
  size_t reads_ = 0;
  size_t writes_ = 0;
  Delivery delivery_{*this};
};

// ScriptedPeer is the far end of a connection, played by the test. A handle: copies are the same
// end. Outlives the stream or not, as it likes.
class ScriptedPeer {
 public:
  explicit ScriptedPeer(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}

  // Sends; never blocks (see unread()).
  void feed(std::string_view bytes);
  // FIN: sends no more, still receives.
  void finish();
  // Closes both ways: FIN, and whatever is written from now on is answered by a reset.
  void close();
  // RST. The stream may still read what came before it; nothing more is received.
  void reset();

  // What the stream wrote since the last take; makes room for more.
  std::string take_received();
  // The same without taking it.
  [[nodiscard]] const std::string& received() const { return me().inbox; }
  // Everything the stream ever wrote, taken or not.
  [[nodiscard]] const std::string& transcript() const { return stream_end().written; }
  // The stream has sent FIN (closed or shut down) behind what was received.
  [[nodiscard]] bool received_eof() const { return me().fin_in; }
  // The stream has reset the connection.
  [[nodiscard]] bool was_reset() const { return me().reset_in; }
  // Nothing can come any more: FIN or reset, and the stream was destroyed.
  [[nodiscard]] bool hung_up() const { return stream_end().gone; }
  // Bytes fed that the stream has not read.
  [[nodiscard]] size_t unread() const { return stream_end().unread(); }
  // How often the stream has said that it expects more.
  [[nodiscard]] size_t expected_more() const { return stream_end().expected_more; }

  // How many bytes the stream may write before it blocks until take_received().
  void set_capacity(size_t bytes);
  // Of the stream's end.
  Faults& faults() { return stream_end().faults; }

 private:
  Wire::End& me() const { return wire_->ends[1]; }
  Wire::End& stream_end() const { return wire_->ends[0]; }
  std::shared_ptr<Wire> wire_;
};

struct ScriptedConnection {
  std::unique_ptr<MemoryStream> stream;
  ScriptedPeer peer;
};
// A stream whose far end the test plays; it blocks after `capacity` bytes written and not taken.
ScriptedConnection make_scripted_connection(size_t capacity = SIZE_MAX);

// Two streams connected to each other; each direction holds at most `capacity` bytes.
std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>> make_pipe_pair(
    size_t capacity);

}  // namespace egret::test
