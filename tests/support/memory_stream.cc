#include "tests/support/memory_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace egret::test {

using net::Io;

size_t Wire::End::take(std::span<char> buffer) {
  const size_t bytes = std::min(buffer.size(), unread());
  std::memcpy(buffer.data(), inbox.data() + taken, bytes);
  taken += bytes;
  // Not at each read: tests feed megabytes.
  if (taken > inbox.size() / 2) {
    inbox.erase(0, taken);
    taken = 0;
  }
  return bytes;
}

void Wire::deliver(int to, std::string_view bytes) {
  End& end = ends[to];
  const Faults& faults = end.faults;
  if (end.fin_in || end.reset_in) return;
  if (end.gone) {
    reset(1 - to);
    return;
  }
  const auto crosses = [&](const std::optional<size_t>& limit) {
    return limit && end.bytes_in + bytes.size() >= *limit;
  };
  const bool closes = crosses(faults.close_after_read);
  const bool resets = crosses(faults.reset_after_read);
  if (closes) bytes = bytes.substr(0, *faults.close_after_read - end.bytes_in);
  if (resets) bytes = bytes.substr(0, *faults.reset_after_read - end.bytes_in);
  end.inbox += bytes;
  end.bytes_in += bytes.size();
  if (resets) {
    reset(to);
  } else if (closes) {
    finish(to);
  } else if (end.stream != nullptr) {
    end.stream->notify({.readable = true});
  }
}

void Wire::finish(int to) {
  ends[to].fin_in = true;
  if (ends[to].stream != nullptr) ends[to].stream->notify({.readable = true, .peer_closed = true});
}

void Wire::reset(int to) {
  ends[to].reset_in = true;
  if (ends[to].stream == nullptr) return;
  ends[to].stream->notify({.readable = true, .writable = true});
}

MemoryStream::MemoryStream(std::shared_ptr<Wire> wire, int end)
    : wire_(std::move(wire)), end_(end) {
  me().stream = this;
  ++alive_;
}

MemoryStream::~MemoryStream() {
  --alive_;
  me().stream = nullptr;
  me().gone = true;
  if (me().reset_in) return;
  if (abort_on_close_ || me().unread() > 0) {
    wire_->reset(1 - end_);
  } else if (!shut_) {
    wire_->finish(1 - end_);
  }
}

Io MemoryStream::try_read(std::span<char> buffer) {
  ++reads_;
  Wire::End& end = me();
  if (end.faults.silent) return {.status = Io::Status::blocked};
  const size_t most = std::min({buffer.size(), end.unread(), end.faults.most_per_read});
  if (most > 0) {
    const size_t bytes = end.take(buffer.first(most));
    // A short read means an empty socket; these bytes are the ones that come after it.
    if (bytes < buffer.size() && end.unread() > 0) notify({.readable = true});
    if (std::exchange(end.other_blocked, false) && other().stream != nullptr) {
      other().stream->notify({.writable = true});
    }
    return {.bytes = bytes};
  }
  if (end.reset_in) return {.status = Io::Status::failed, .error = ECONNRESET};
  if (end.fin_in) return {.status = Io::Status::closed};
  return {.status = Io::Status::blocked};
}

size_t MemoryStream::room_for_writing() {
  const Wire::End& end = other();
  if (end.gone) return SIZE_MAX;
  return end.capacity - std::min(end.capacity, end.unread());
}

Io MemoryStream::try_write(std::span<const iovec> pieces) {
  ++writes_;
  if (me().reset_in) return {.status = Io::Status::failed, .error = ECONNRESET};
  if (shut_) return {.status = Io::Status::failed, .error = EPIPE};
  std::string bytes;
  for (const iovec& piece : pieces) {
    bytes.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  if (bytes.empty()) return {};
  const size_t taken = std::min({bytes.size(), room_for_writing(), me().faults.most_per_write});
  if (taken < bytes.size()) other().other_blocked = true;
  if (taken == 0) return {.status = Io::Status::blocked};
  bytes.resize(taken);
  me().written += bytes;
  wire_->deliver(1 - end_, bytes);
  const auto& limit = me().faults.reset_after_write;
  if (limit && me().written.size() >= *limit) wire_->reset(end_);
  return {.bytes = taken};
}

void MemoryStream::shutdown_write() {
  if (std::exchange(shut_, true) || me().reset_in) return;
  wire_->finish(1 - end_);
}

bool MemoryStream::looks_alive() {
  const Wire::End& end = me();
  return end.faults.silent || (end.unread() == 0 && !end.fin_in && !end.reset_in);
}

void MemoryStream::notify(Edges edges) {
  if (me().faults.silent) edges = {.writable = edges.writable};
  delivery_.edges.readable |= edges.readable;
  delivery_.edges.writable |= edges.writable;
  delivery_.edges.peer_closed |= edges.peer_closed;
  async::Scheduler::current().ready().post(delivery_);
}

void MemoryStream::Delivery::run(ReadyNode& node) {
  auto& delivery = static_cast<Delivery&>(node);
  Edges edges = std::exchange(delivery.edges, {});
  // As SocketStream: bytes show a connection that is writable too, and so does a reset.
  if (edges.readable && delivery.stream.room_for_writing() > 0) edges.writable = true;
  if (edges.readable && edges.writable && !edges.peer_closed) {
    delivery.stream.on_perhaps_reset();
    edges.peer_closed = delivery.stream.nobody_reads() && delivery.stream.me().reset_in;
  }
  if (edges.writable) delivery.stream.on_writable();
  if (edges.peer_closed) {
    delivery.stream.on_peer_closed();
  } else if (edges.readable) {
    delivery.stream.on_readable();
  }
}

void ScriptedPeer::feed(std::string_view bytes) { wire_->deliver(0, bytes); }

void ScriptedPeer::finish() { wire_->finish(0); }

void ScriptedPeer::close() {
  me().gone = true;
  if (!stream_end().fin_in) wire_->finish(0);
}

void ScriptedPeer::reset() {
  me().gone = true;
  wire_->reset(0);
}

std::string ScriptedPeer::take_received() {
  std::string bytes = std::exchange(me().inbox, {});
  if (!bytes.empty()) set_capacity(me().capacity);
  return bytes;
}

void ScriptedPeer::set_capacity(size_t bytes) {
  me().capacity = bytes;
  if (me().inbox.size() >= bytes || !std::exchange(me().other_blocked, false)) return;
  if (stream_end().stream != nullptr) stream_end().stream->notify({.writable = true});
}

ScriptedConnection make_scripted_connection(size_t capacity) {
  auto wire = std::make_shared<Wire>();
  wire->ends[1].capacity = capacity;
  return {std::make_unique<MemoryStream>(wire, 0), ScriptedPeer(wire)};
}

std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>> make_pipe_pair(
    size_t capacity) {
  auto wire = std::make_shared<Wire>();
  wire->ends[0].capacity = wire->ends[1].capacity = capacity;
  return {std::make_unique<MemoryStream>(wire, 0), std::make_unique<MemoryStream>(wire, 1)};
}

}  // namespace egret::test
