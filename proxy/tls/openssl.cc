#include "proxy/tls/openssl.h"

#include <new>

namespace egret::tls {

Context hardened(const SSL_METHOD* method) {
  Context context(SSL_CTX_new(method));
  if (!context) throw std::bad_alloc();
  SSL_CTX* made = context.get();
  SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION);
  SSL_CTX_set_security_level(made, kSecurityLevel);
  // No finite-field groups, whose size the peer would choose; AEAD only.
  SSL_CTX_set_cipher_list(made, kCiphers);
  SSL_CTX_set_max_cert_list(made, kLargestChain);
  SSL_CTX_set_verify_depth(made, kMostIssuers);
  SSL_CTX_set_options(made, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(made, 1);  // one call a record, not two
  return context;
}

}  // namespace egret::tls
