#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "proxy/tls/openssl.h"

namespace egret::tls {

// The roots that are trusted where a rule says `ca: system`, read once and shared by all workers:
// OpenSSL locks it. Immutable after it was made.
class Trust {
 public:
  // Reads $SSL_CERT_FILE, or else Debian's /etc/ssl/certs/ca-certificates.crt.
  // Errors: internal_error with a sentence; what was made then trusts nobody.
  static Result<std::shared_ptr<const Trust>> system();
  // Where system() reads.
  static std::string system_file();
  // Trusts nobody: every certificate is refused.
  static std::shared_ptr<const Trust> nobody();

  [[nodiscard]] X509_STORE* store() const { return store_.get(); }

 private:
  explicit Trust(Store store) : store_(std::move(store)) {}
  Store store_;
};

// Adds every certificate of `pem` to `store`. Errors: internal_error.
Result<> add_certificates(X509_STORE* store, std::string_view pem);
// Adds every revocation list of `pem` to `store`, which then looks the leaf up. Errors as above.
Result<> add_revocation_lists(X509_STORE* store, std::string_view pem);
// Makes `context` present a chain and its key. Errors: internal_error.
Result<> use_key_pair(SSL_CTX* context, std::string_view chain, std::string_view key);

}  // namespace egret::tls
