#pragma once

#include <optional>
#include <string>

#include "proxy/async/task.h"
#include "proxy/async/wait.h"
#include "proxy/net/stream.h"
#include "proxy/tls/openssl.h"

namespace egret::tls {

// The peer may send so many messages of TLS itself (tickets, key updates, warnings) between two
// pieces of content, after the handshake: OpenSSL takes any number, in one call.
inline constexpr int kMostMessages = 32;

// TlsStream is a Stream whose bytes go as TLS 1.2 or 1.3 over another.
//   First handshake(), then reads and writes. A read gives `closed` only after close_notify: an end
//   without it is `failed` with ECONNRESET, since what came may have been cut short (RFC 8446 6.1).
//   trouble() says which alert or error ended it.
//   Destroyed, it says close_notify if it can without waiting, unless abort_on_close() was called.
//   Owner and thread as Stream. The stream below has no other user meanwhile.
class TlsStream final : public net::Stream, private net::Stream::Above {
 public:
  // Whose handshake it is decides which reasons its failures have.
  enum class Side : uint8_t { connects, accepts };

  // `ssl` is set to connect or accept, and made by Client or Server.
  TlsStream(std::unique_ptr<net::Stream> below, Ssl ssl, Side side);
  // `below` must outlive this, and is usable again when this has been destroyed.
  TlsStream(net::Stream& below, Ssl ssl, Side side);
  ~TlsStream() override;

  // Bytes that were read from below already. Before handshake().
  void preload(std::string_view bytes) { early_ += bytes; }

  // Errors when it connects: tls_certificate_error, tls_alert_received, tls_protocol_error,
  // tls_timeout; when it accepts: sender_tls_failed. `peer` is who, for the detail.
  async::Task<Result<>> handshake(std::string peer, Deadline deadline);
  // The session was resumed from an earlier one: no certificates were exchanged.
  [[nodiscard]] bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  // A byte has come from the peer.
  [[nodiscard]] bool anything_came() const { return BIO_number_read(SSL_get_rbio(ssl_.get())) > 0; }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }

  // What OpenSSL's callbacks leave here.
  struct Findings {
    std::optional<int> alert;   // that the peer has sent, not close_notify (RFC 8446 6)
    int fault_depth = 0;        // of the certificate that failed a check; 0: the peer's own
    std::string refusal;        // why a callback of ours ended the handshake
    std::string session_key;    // of a client: under which its sessions are kept
    time_t believed_until = 0;  // of a client that resumes: the end of what was verified then
    std::string host;           // of an intercepted tunnel: the one name to be asked for
    bool name_required = false;
  };
  Findings& findings() { return findings_; }
  static TlsStream& of(const SSL* ssl);

  net::Io try_read(std::span<char> buffer) override;
  net::Io try_write(std::span<const iovec> pieces) override;
  void shutdown_write() override;
  void abort_on_close() override;
  void expect_more() override { below_.expect_more(); }
  bool looks_alive() override;
  void rest() override { SSL_free_buffers(ssl_.get()); }
  [[nodiscard]] const Failure* trouble() const override { return trouble_ ? &*trouble_ : nullptr; }

 private:
  struct Wire;  // the BIO's callbacks
  enum class Step : uint8_t { done, waits, failed };
  Step step_handshake();
  [[nodiscard]] Failure handshake_failure(const std::string& peer);
  net::Io fail(int& error);
  void note_message();
  void below_readable() override;
  void below_writable() override;
  void below_closed() override;
  void say_close();
  void wait_for_room();

  std::unique_ptr<net::Stream> owned_;
  net::Stream& below_;
  Ssl ssl_;
  const Side side_;
  std::string early_;  // bytes to be read before those from below
  Findings findings_;
  async::Event progress_;  // of the handshake
  std::optional<Failure> trouble_;
  int read_error_ = 0;   // errno, and no read will come to anything any more
  int write_error_ = 0;  // the same of writes: what has come may still be read
  int messages_ = 0;     // of TLS itself since the last content
  bool established_ = false;
  bool below_ended_ = false;  // FIN, whether or not it was announced
  bool aborted_ = false;
  bool closing_ = false;  // close_notify, then FIN, are to go when there is room
  bool close_said_ = false;
  bool read_waits_for_room_ = false;
  bool write_waits_for_bytes_ = false;
};

}  // namespace egret::tls
