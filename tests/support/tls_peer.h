#pragma once

#include <string>
#include <string_view>

#include "proxy/tls/authority.h"
#include "proxy/tls/openssl.h"

namespace egret::test {

// A CA that every test trusts or not, as it likes, and certificates by it. Made once a program.
class TestCa {
 public:
  static TestCa& get();
  // PEM of the CA's certificate.
  [[nodiscard]] const std::string& certificate() const { return pair_.certificate; }
  [[nodiscard]] const policy::KeyPair& pair() const { return pair_; }
  // PEM of a certificate for `host`, a name or an address, and of its key.
  policy::KeyPair certify(std::string_view host);
  tls::Leaf leaf(std::string_view host);

 private:
  TestCa();
  policy::KeyPair pair_;
  std::shared_ptr<tls::Authority> authority_;
};

// TlsPeer is one end of TLS that lives on bytes: what it gets is put in, what it sends is taken
// out. Plain OpenSSL, so that Egret's own stream is not its own judge.
class TlsPeer {
 public:
  // A server that presents `host`'s certificate by the TestCa.
  static TlsPeer server(std::string_view host);
  // A client that believes the TestCa, unless told to trust nobody, and asks for `host`; empty:
  // sends no server name. `protocols`: what it offers, in ALPN's wire form.
  static TlsPeer client(std::string_view host, std::string_view protocols = {});
  static TlsPeer distrustful_client(std::string_view host);
  // A server with another's context: its certificate and its tickets.
  static TlsPeer with_context(SSL_CTX* context);

  // Bytes from the other end. Then what this one has to say is in take().
  void put(std::string_view bytes);
  std::string take();
  // The handshake is done.
  [[nodiscard]] bool ready() const { return SSL_is_init_finished(ssl_.get()) == 1; }
  // Encrypts.
  void write(std::string_view text);
  // What was decrypted so far; the caller may take it away.
  std::string& received() { return received_; }
  // Judges certificates as of `time`, not of now.
  void set_time(time_t time) { X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl_.get()), time); }
  // Sends close_notify; whether the other end has.
  void close() { SSL_shutdown(ssl_.get()); }
  [[nodiscard]] bool closed() const {
    return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }
  // OpenSSL's words for what went wrong; empty: nothing did.
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
  [[nodiscard]] SSL_CTX* context() const { return context_.get(); }

 private:
  TlsPeer(tls::Context context, bool server, std::string_view host, std::string_view protocols);
  void turn();
  tls::Context context_;
  tls::Ssl ssl_;
  BIO* in_;   // the ssl's
  BIO* out_;  // the ssl's
  std::string received_;
  std::string error_;
};

}  // namespace egret::test
