#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string_view>

namespace egret::tls {

// OpenSSL's objects, owned. Only this room and config/pem.cc see OpenSSL at all.
template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL_SESSION, Freed<SSL_SESSION_free>>;
using Ssl = std::unique_ptr<SSL, Freed<SSL_free>>;
using Store = std::unique_ptr<X509_STORE, Freed<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Freed<X509_STORE_CTX_free>>;

// No key has a passphrase: nobody is there to type one.
inline int no_passphrase(char*, int, int, void*) { return -1; }

// Of TLS 1.2; 1.3 has none but such: ephemeral elliptic curves, authenticated encryption.
inline constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

// What clients and servers have in common. Throws std::bad_alloc.
inline constexpr int kSecurityLevel = 2;         // NIST SP 800-57: 112 bits; RSA of 2048, no SHA-1
inline constexpr int kMostIssuers = 10;          // between leaf and root
inline constexpr long kLargestChain = 32 << 10;  // bytes of a peer's certificates
// ALPN's wire form (RFC 7301 3.1).
inline constexpr std::string_view kHttp11 = "\x08http/1.1";
Context hardened(const SSL_METHOD* method);

// Reads PEM text that `text` must outlive.
inline Bio reading(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

}  // namespace egret::tls
