#include "tests/support/tls_peer.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>
#include <stdexcept>

#include "base/clock.h"
#include "proxy/tls/trust.h"
#include "proxy/tls/words.h"

namespace egret::test {
namespace {

template <typename T>
T must(Result<T> made) {
  if (!made) throw std::runtime_error(made.error().detail);
  return std::move(*made);
}

// 2026-01-01: before every clock of the tests, manual or not.
constexpr WallTime kLongAgo{std::chrono::seconds(1'767'225'600)};

WallTime wall() { return std::chrono::system_clock::now(); }

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

}  // namespace

TestCa::TestCa()
    : pair_(must(tls::make_ca({.name = "Egret test CA", .days = 3650}, kLongAgo))),
      authority_(must(tls::Authority::load(pair_))) {}

TestCa& TestCa::get() {
  static TestCa ca;
  return ca;
}

tls::Leaf TestCa::leaf(std::string_view host) {
  return must(authority_->leaf(must(policy::canonical_host(host)), wall()));
}

policy::KeyPair TestCa::certify(std::string_view host) {
  const tls::Leaf made = leaf(host);
  const tls::Bio certificate(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(certificate.get(), made.certificate.get());
  const tls::Bio key(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(key.get(), made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {text_of(certificate.get()), Secret(text_of(key.get()))};
}

TlsPeer TlsPeer::server(std::string_view host) {
  tls::Context context(SSL_CTX_new(TLS_server_method()));
  const policy::KeyPair pair = TestCa::get().certify(host);
  const Result<> used =
      tls::use_key_pair(context.get(), pair.certificate, pair.private_key.reveal());
  if (!used) throw std::runtime_error(used.error().detail);
  SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>("t"), 1);
  return {std::move(context), true, host, {}};
}

TlsPeer TlsPeer::with_context(SSL_CTX* context) {
  SSL_CTX_up_ref(context);
  return {tls::Context(context), true, {}, {}};
}

TlsPeer TlsPeer::client(std::string_view host, std::string_view protocols) {
  tls::Context context(SSL_CTX_new(TLS_client_method()));
  const Result<> trusted =
      tls::add_certificates(SSL_CTX_get_cert_store(context.get()), TestCa::get().certificate());
  if (!trusted) throw std::runtime_error(trusted.error().detail);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return {std::move(context), false, host, protocols};
}

TlsPeer TlsPeer::distrustful_client(std::string_view host) {
  tls::Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return {std::move(context), false, host, {}};
}

TlsPeer::TlsPeer(tls::Context context, bool server, std::string_view host,
                 std::string_view protocols)
    : context_(std::move(context)),
      ssl_(SSL_new(context_.get())),
      in_(BIO_new(BIO_s_mem())),
      out_(BIO_new(BIO_s_mem())) {
  SSL_set_bio(ssl_.get(), in_, out_);
  if (server) {
    SSL_set_accept_state(ssl_.get());
    return;
  }
  SSL_set_connect_state(ssl_.get());
  if (!protocols.empty()) {
    SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                        static_cast<unsigned>(protocols.size()));
  }
  const std::string name(host);
  if (!name.empty()) SSL_set_tlsext_host_name(ssl_.get(), name.c_str());
  turn();
}

void TlsPeer::put(std::string_view bytes) {
  if (!bytes.empty()) BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
  turn();
}

std::string TlsPeer::take() {
  std::string bytes = text_of(out_);
  BIO_reset(out_);
  return bytes;
}

void TlsPeer::write(std::string_view text) {
  if (SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) <= 0) {
    error_ = tls::take_error();
  }
}

void TlsPeer::turn() {
  std::array<char, 4096> buffer;
  while (true) {
    ERR_clear_error();
    const int got = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (got > 0) {
      received_.append(buffer.data(), static_cast<size_t>(got));
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), got);
    if (error == SSL_ERROR_SSL) error_ = tls::take_error();
    return;
  }
}

}  // namespace egret::test
