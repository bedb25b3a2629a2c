#include "proxy/tls/stream.h"

#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "proxy/tls/words.h"

namespace egret::tls {
namespace {

using net::Io;

constexpr size_t kRecord = SSL3_RT_MAX_PLAIN_LENGTH;  // 16 KiB (RFC 8446 5.1)

// What goes into one record, together when it lies apart.
std::string_view one_record(std::span<const iovec> pieces) {
  static thread_local std::array<char, kRecord> together;
  if (pieces.size() == 1 || pieces.front().iov_len >= kRecord) {
    return {static_cast<const char*>(pieces.front().iov_base),
            std::min(pieces.front().iov_len, kRecord)};
  }
  size_t size = 0;
  for (const iovec& piece : pieces) {
    const size_t part = std::min(piece.iov_len, together.size() - size);
    if (part > 0) std::memcpy(together.data() + size, piece.iov_base, part);
    size += part;
  }
  return {together.data(), size};
}

// Notes the fatal alerts that the peer sends.
void on_info(const SSL* ssl, int where, int value) {
  if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT) return;
  // Warnings end nothing: what does comes later, and says so itself.
  if (value >> 8 == SSL3_AL_FATAL) TlsStream::of(ssl).findings().alert = value & 0xFF;
}

}  // namespace

// The BIO between OpenSSL and the stream below.
struct TlsStream::Wire {
  static int read(BIO* bio, char* out, size_t size, size_t* got) {
    TlsStream& stream = *static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (stream.read_error_ != 0) return 0;
    if (!stream.early_.empty()) {
      *got = std::min(size, stream.early_.size());
      std::memcpy(out, stream.early_.data(), *got);
      stream.early_.erase(0, *got);
      return 1;
    }
    // Without a call when the edges have told that nothing is there.
    if (!stream.below_.may_read()) return wait(bio, BIO_FLAGS_READ);
    const Io io = stream.below_.read_now({out, size});
    if (io.ok()) {
      *got = io.bytes;
      return 1;
    }
    if (io.status == Io::Status::blocked) return wait(bio, BIO_FLAGS_READ);
    stream.below_ended_ = io.status == Io::Status::closed;
    stream.read_error_ = io.error;
    return 0;
  }

  static int write(BIO* bio, const char* bytes, size_t size, size_t* put) {
    TlsStream& stream = *static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    const iovec piece{const_cast<char*>(bytes), size};
    const Io io = stream.below_.try_write({&piece, 1});
    if (io.ok()) {
      *put = io.bytes;
      return 1;
    }
    if (io.status == Io::Status::blocked) return wait(bio, BIO_FLAGS_WRITE);
    stream.write_error_ = io.error;
    return 0;
  }

  // Messages of the TLS protocol that the peer has sent.
  static void message(int written, int, int type, const void*, size_t, SSL* ssl, void*) {
    const bool own = type == SSL3_RT_HANDSHAKE || type == SSL3_RT_ALERT;
    if (written == 0 && own) TlsStream::of(ssl).note_message();
  }

  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) {
      return static_cast<TlsStream*>(BIO_get_data(bio))->below_ended_ ? 1 : 0;
    }
    return 0;
  }

  static int wait(BIO* bio, int direction) {
    BIO_set_flags(bio, direction | BIO_FLAGS_SHOULD_RETRY);
    return 0;
  }

  // Made once and never freed: OpenSSL's own tables live as long.
  static const BIO_METHOD* method() {
    static const BIO_METHOD* made = [] {
      BIO_METHOD* fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "egret stream");
      BIO_meth_set_read_ex(fresh, read);
      BIO_meth_set_write_ex(fresh, write);
      BIO_meth_set_ctrl(fresh, control);
      return fresh;
    }();
    return made;
  }
};

TlsStream::TlsStream(std::unique_ptr<net::Stream> below, Ssl ssl, Side side)
    : TlsStream(*below, std::move(ssl), side) {
  owned_ = std::move(below);
}

TlsStream::TlsStream(net::Stream& below, Ssl ssl, Side side)
    : below_(below), ssl_(std::move(ssl)), side_(side) {
  BIO* bio = BIO_new(Wire::method());
  if (bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);  // which owns it
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_info_callback(ssl_.get(), on_info);
  SSL_set_msg_callback(ssl_.get(), Wire::message);
  below_.carry(this);
}

TlsStream::~TlsStream() {
  if (established_ && !aborted_ && !trouble_ && !close_said_ && write_error_ == 0) say_close();
  below_.carry(nullptr);
}

// Nobody needs so many: they are there to keep this thread busy. The next read from below ends it.
void TlsStream::note_message() {
  if (!established_ || ++messages_ <= kMostMessages || read_error_ != 0) return;
  read_error_ = EPROTO;
  trouble_ =
      Failure{side_ == Side::connects ? Reason::tls_protocol_error : Reason::sender_disconnected,
              "TLS: too many messages without content."};
}

TlsStream& TlsStream::of(const SSL* ssl) { return *static_cast<TlsStream*>(SSL_get_app_data(ssl)); }

async::Task<Result<>> TlsStream::handshake(std::string peer, Deadline deadline) {
  while (true) {
    progress_.clear();
    const Step step = step_handshake();
    if (step == Step::failed) co_return Unexpected(handshake_failure(peer));
    if (step == Step::done) break;
    const bool came = co_await progress_.wait(deadline);
    if (came) continue;
    trouble_ = Failure{side_ == Side::connects ? Reason::tls_timeout : Reason::sender_tls_failed,
                       "The TLS handshake with " + peer + " did not end in time."};
    co_return Unexpected(*trouble_);
  }
  established_ = true;
  // A server may have spoken at once, a client sent its first request with its last flight.
  if (SSL_has_pending(ssl_.get()) == 1 || below_.may_read() || !early_.empty()) on_readable();
  if (below_.peer_closed()) note_end();
  co_return Result<>();
}

TlsStream::Step TlsStream::step_handshake() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1) return Step::done;
  const int error = SSL_get_error(ssl_.get(), done);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? Step::waits : Step::failed;
}

Failure TlsStream::handshake_failure(const std::string& peer) {
  const bool connects = side_ == Side::connects;
  const std::string why = take_error();
  const long fault = SSL_get_verify_result(ssl_.get());
  Failure failure{connects ? Reason::tls_protocol_error : Reason::sender_tls_failed, {}};
  if (!findings_.refusal.empty()) {
    failure.detail = findings_.refusal;
  } else if (fault != X509_V_OK) {
    if (connects) failure.reason = Reason::tls_certificate_error;
    failure.detail = (connects ? "The certificate of " : "The client certificate of ") + peer +
                     ": " + certificate_fault(fault);
    if (findings_.fault_depth > 0) {
      failure.detail += " (of its issuers, number " + std::to_string(findings_.fault_depth) + ")";
    }
    failure.detail += ".";
  } else if (findings_.alert) {
    if (connects) failure.reason = Reason::tls_alert_received;
    failure.detail = peer + " ended TLS with the alert " + alert_name(*findings_.alert) + ".";
  } else if (below_ended_) {
    failure.detail = peer + " closed the connection within the TLS handshake.";
  } else if (read_error_ != 0 || write_error_ != 0) {
    const int error = read_error_ != 0 ? read_error_ : write_error_;
    failure.detail = "TLS with " + peer + ": " + std::strerror(error) + ".";
  } else {
    failure.detail = "TLS with " + peer + ": " + why + ".";
  }
  trouble_ = failure;
  return failure;
}

// After the handshake: an alert, a record that does not decrypt, an end that was not announced.
Io TlsStream::fail(int& error) {
  const std::string why = take_error();
  if (!trouble_ && findings_.alert) {
    trouble_ =
        Failure{side_ == Side::connects ? Reason::tls_alert_received : Reason::sender_disconnected,
                "The peer ended TLS with the alert " + alert_name(*findings_.alert) + "."};
  } else if (!trouble_ && error == 0 && !below_ended_) {
    trouble_ =
        Failure{side_ == Side::connects ? Reason::tls_protocol_error : Reason::sender_disconnected,
                "TLS: " + why + "."};
  }
  if (error == 0) error = ECONNRESET;
  return {.status = Io::Status::failed, .error = error};
}

Io TlsStream::try_read(std::span<char> buffer) {
  if (read_error_ != 0) return {.status = Io::Status::failed, .error = read_error_};
  size_t total = 0;
  Io end{.status = Io::Status::blocked};
  ERR_clear_error();
  // To the last byte there is, so that a short read means what it means everywhere.
  while (total < buffer.size()) {
    size_t got = 0;
    const int done = SSL_read_ex(ssl_.get(), buffer.data() + total, buffer.size() - total, &got);
    total += got;
    if (done == 1) {
      messages_ = 0;
      if (SSL_has_pending(ssl_.get()) == 0 && early_.empty() && !below_.may_read()) break;
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), done);
    if (error == SSL_ERROR_WANT_READ) break;
    if (error == SSL_ERROR_WANT_WRITE) {
      wait_for_room();
      break;
    }
    end = error == SSL_ERROR_ZERO_RETURN ? Io{.status = Io::Status::closed} : fail(read_error_);
    if (total > 0) note_end();
    break;
  }
  return total > 0 ? Io{.bytes = total} : end;
}

Io TlsStream::try_write(std::span<const iovec> pieces) {
  if (write_error_ != 0) return {.status = Io::Status::failed, .error = write_error_};
  const std::string_view record = one_record(pieces);
  size_t put = 0;
  ERR_clear_error();
  const int done = SSL_write_ex(ssl_.get(), record.data(), record.size(), &put);
  if (done == 1) return {.bytes = put};
  const int error = SSL_get_error(ssl_.get(), done);
  write_waits_for_bytes_ = error == SSL_ERROR_WANT_READ;
  if (write_waits_for_bytes_ || error == SSL_ERROR_WANT_WRITE) {
    return {.status = Io::Status::blocked};
  }
  return fail(write_error_);
}

// A key update is answered before anything more is read, and there is no room for the answer.
void TlsStream::wait_for_room() {
  read_waits_for_room_ = true;
  hold_reads();
}

void TlsStream::say_close() {
  ERR_clear_error();
  const int done = SSL_shutdown(ssl_.get());
  closing_ = done < 0 && SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_WRITE;
  close_said_ = !closing_;
  ERR_clear_error();
}

void TlsStream::shutdown_write() {
  if (established_ && write_error_ == 0 && !close_said_) say_close();
  if (!closing_) below_.shutdown_write();
}

void TlsStream::abort_on_close() {
  aborted_ = true;
  below_.abort_on_close();
}

bool TlsStream::looks_alive() {
  if (read_error_ != 0 || write_error_ != 0) return false;
  if (SSL_has_pending(ssl_.get()) == 0 && below_.looks_alive()) return true;
  // Bytes are there: perhaps only a session ticket.
  below_readable();
  return quiet();
}

void TlsStream::below_readable() {
  if (!established_) {
    progress_.set();
    return;
  }
  if (read_waits_for_room_) return;  // nothing comes past what must be answered first
  if (std::exchange(write_waits_for_bytes_, false)) on_writable();
  if (!nobody_reads()) {
    on_readable();
    return;
  }
  // What is not for the reader (tickets, key updates) must not look as if it were.
  if (read_error_ != 0) return;
  char byte;
  size_t got = 0;
  ERR_clear_error();
  const int done = SSL_peek_ex(ssl_.get(), &byte, 1, &got);
  const int error = SSL_get_error(ssl_.get(), done);
  if (done == 1) {
    on_readable();
  } else if (error == SSL_ERROR_ZERO_RETURN) {
    on_peer_closed();
  } else if (error == SSL_ERROR_WANT_WRITE) {
    wait_for_room();
  } else if (error != SSL_ERROR_WANT_READ) {
    fail(read_error_);
    on_peer_closed();
  }
  ERR_clear_error();
}

void TlsStream::below_writable() {
  if (!established_) {
    progress_.set();
    return;
  }
  if (closing_) {
    say_close();
    if (!closing_) below_.shutdown_write();
  }
  if (std::exchange(read_waits_for_room_, false)) on_readable();
  on_writable();
}

void TlsStream::below_closed() {
  if (!established_) {
    progress_.set();
    return;
  }
  if (read_waits_for_room_) {
    note_end();
    return;
  }
  on_peer_closed();
}

}  // namespace egret::tls
