#include "proxy/net/stream.h"

#include <cassert>

namespace egret::net {

using async::Scheduler;

void Stream::on_readable() {
  maybe_readable_ = true;
  reads_held_ = false;
  if (above_ != nullptr) {
    above_->below_readable();
    return;
  }
  if (reader_ != nullptr && reader_->attempt()) {
    Scheduler::current().ready().post(*reader_->node_);
    reader_ = nullptr;
    read_timer_.disarm();
  }
  if (readable_waiter_ != nullptr) Scheduler::current().ready().post(*readable_waiter_);
}

void Stream::on_writable() {
  if (above_ != nullptr) {
    above_->below_writable();
    return;
  }
  if (writer_ == nullptr || !writer_->attempt()) return;
  Scheduler::current().ready().post(*writer_->node_);
  writer_ = nullptr;
}

void Stream::on_peer_closed() {
  note_end();
  if (above_ != nullptr) {
    above_->below_closed();
    return;
  }
  on_readable();
}

void Stream::note_end() {
  peer_closed_ = true;
  if (closed_waiter_ != nullptr) Scheduler::current().ready().post(*closed_waiter_);
}

Io Stream::read_now(std::span<char> buffer) {
  const Io io = try_read(buffer);
  // A short read has emptied the socket, unless the peer's FIN waits behind it.
  maybe_readable_ = io.status != Io::Status::blocked && io.bytes == buffer.size();
  if (!io.ok()) end_may_hide_ = false;
  // The end is told once, an error even read only once: nobody must wait for it again.
  if (io.status == Io::Status::closed || io.status == Io::Status::failed) note_end();
  return io;
}

bool Stream::Read::attempt() {
  result_ = stream_.read_now(buffer_);
  return result_.status != Io::Status::blocked;
}

bool Stream::Read::await_ready() {
  assert(stream_.reader_ == nullptr);
  if (!stream_.may_read()) return false;
  if (!attempt()) return false;
  return !Scheduler::current().ready().has_had_its_turn();
}

void Stream::Read::suspend(async::ReadyNode& node) {
  node_ = &node;
  if (result_.status != Io::Status::blocked) {
    Scheduler::current().ready().post(node);  // done, but others go first
    return;
  }
  stream_.reader_ = this;
  stream_.read_timer_.arm(Scheduler::current().timers(), deadline_, node);
}

Io Stream::Read::await_resume() {
  if (result_.status == Io::Status::blocked) {
    detach();
    result_.status = Io::Status::timed_out;
  }
  return result_;
}

void Stream::Read::detach() {
  if (stream_.reader_ != this) return;
  stream_.reader_ = nullptr;
  stream_.read_timer_.disarm();
}

bool Stream::Write::attempt() {
  while (!pieces_.empty()) {
    const Io io = stream_.try_write(pieces_);
    if (io.status == Io::Status::blocked) return false;
    if (!io.ok()) {
      result_.status = io.status;
      result_.error = io.error;
      return true;
    }
    if (io.bytes > 0) stream_.end_may_hide_ = false;
    result_.bytes += io.bytes;
    size_t left = io.bytes;
    while (!pieces_.empty() && left >= pieces_.front().iov_len) {
      left -= pieces_.front().iov_len;
      pieces_ = pieces_.subspan(1);
    }
    if (left > 0) {
      iovec& piece = pieces_.front();
      piece.iov_base = static_cast<char*>(piece.iov_base) + left;
      piece.iov_len -= left;
    }
  }
  return true;
}

bool Stream::Write::await_ready() {
  assert(stream_.writer_ == nullptr);
  if (!attempt()) {
    result_.status = Io::Status::blocked;
    return false;
  }
  return !Scheduler::current().ready().has_had_its_turn();
}

void Stream::Write::suspend(async::ReadyNode& node) {
  node_ = &node;
  if (result_.status != Io::Status::blocked) {
    Scheduler::current().ready().post(node);
    return;
  }
  result_.status = Io::Status::ok;
  stream_.writer_ = this;
  timer_.arm(Scheduler::current().timers(), deadline_, node);
}

Io Stream::Write::await_resume() {
  if (stream_.writer_ == this) {
    detach();
    result_.status = Io::Status::timed_out;
  }
  return result_;
}

void Stream::Write::detach() {
  if (stream_.writer_ == this) stream_.writer_ = nullptr;
}

void Stream::Readable::suspend(async::ReadyNode& node) {
  assert(stream_.readable_waiter_ == nullptr && stream_.reader_ == nullptr);
  stream_.readable_waiter_ = &node;
  waiting_ = true;
  stream_.read_timer_.arm(Scheduler::current().timers(), deadline_, node);
}

Stream::Readable::~Readable() {
  if (!waiting_) return;
  stream_.readable_waiter_ = nullptr;
  stream_.read_timer_.disarm();
}

Stream::Closed::~Closed() {
  if (waiting_) stream_.closed_waiter_ = nullptr;
}

}  // namespace egret::net
