#include "proxy/tls/trust.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <cstdlib>

#include "proxy/tls/words.h"

namespace egret::tls {
namespace {

constexpr const char* kDebianBundle = "/etc/ssl/certs/ca-certificates.crt";

// `PEM_read_bio_*` says "no start line" when nothing more comes: that is the end.
bool at_end() {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  return error == 0 ||
         (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE);
}

Unexpected failed(std::string_view what) {
  return Unexpected(Reason::internal_error, std::string(what) + ": " + take_error());
}

}  // namespace

std::string Trust::system_file() {
  const char* named =
      std::getenv("SSL_CERT_FILE");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return named != nullptr && *named != '\0' ? named : kDebianBundle;
}

Result<std::shared_ptr<const Trust>> Trust::system() {
  const std::string path = system_file();
  Store store(X509_STORE_new());
  if (!store) throw std::bad_alloc();
  if (X509_STORE_load_file(store.get(), path.c_str()) != 1) {
    ERR_clear_error();
    return Unexpected(Reason::internal_error,
                      "no trusted roots can be read from " + path +
                          ": every certificate will be refused where a rule says `ca: system`; "
                          "install ca-certificates, or name a file in `tls.ca`");
  }
  return std::shared_ptr<const Trust>(new Trust(std::move(store)));
}

std::shared_ptr<const Trust> Trust::nobody() {
  Store store(X509_STORE_new());
  if (!store) throw std::bad_alloc();
  return std::shared_ptr<const Trust>(new Trust(std::move(store)));
}

Result<> add_certificates(X509_STORE* store, std::string_view pem) {
  const Bio bio = reading(pem);
  int added = 0;
  while (true) {
    const Certificate each(PEM_read_bio_X509_AUX(bio.get(), nullptr, no_passphrase, nullptr));
    if (!each) break;
    if (X509_STORE_add_cert(store, each.get()) != 1) return failed("a CA certificate");
    ++added;
  }
  if (!at_end() || added == 0) return Unexpected(Reason::internal_error, "no CA certificates");
  return {};
}

Result<> add_revocation_lists(X509_STORE* store, std::string_view pem) {
  const Bio bio = reading(pem);
  int added = 0;
  while (true) {
    const std::unique_ptr<X509_CRL, Freed<X509_CRL_free>> each(
        PEM_read_bio_X509_CRL(bio.get(), nullptr, no_passphrase, nullptr));
    if (!each) break;
    if (X509_STORE_add_crl(store, each.get()) != 1) return failed("a revocation list");
    ++added;
  }
  if (!at_end() || added == 0) return Unexpected(Reason::internal_error, "no revocation lists");
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
  return {};
}

Result<> use_key_pair(SSL_CTX* context, std::string_view chain, std::string_view key) {
  const Bio certificates = reading(chain);
  const Certificate leaf(
      PEM_read_bio_X509_AUX(certificates.get(), nullptr, no_passphrase, nullptr));
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) return failed("a certificate");
  while (true) {
    Certificate issuer(PEM_read_bio_X509(certificates.get(), nullptr, no_passphrase, nullptr));
    if (!issuer) break;
    if (SSL_CTX_add0_chain_cert(context, issuer.get()) != 1) return failed("a certificate chain");
    static_cast<void>(issuer.release());  // the context's now
  }
  if (!at_end()) return Unexpected(Reason::internal_error, "a certificate chain");
  const Bio secret = reading(key);
  const Key private_key(PEM_read_bio_PrivateKey(secret.get(), nullptr, no_passphrase, nullptr));
  if (!private_key || SSL_CTX_use_PrivateKey(context, private_key.get()) != 1) {
    return failed("a private key");
  }
  return {};
}

}  // namespace egret::tls
