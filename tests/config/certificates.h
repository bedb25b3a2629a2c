#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace egret::config {

// Certificates of a test's own, made when it runs: none of them is ever out of date.

struct Wanted {
  bool authority = false;
  int rsa_bits = 0;  // 0: P-256
  std::string not_before = "20200101000000Z";
  std::string not_after = "21000101000000Z";
};

struct Issued {
  std::string certificate;            // signed by itself
  std::string private_key;            // PKCS #8
  std::string encrypted_key;          // the same with the passphrase "s3cret"
  std::string traditional_encrypted;  // and as RFC 1421 encrypts it
  std::shared_ptr<X509> x509;
  std::shared_ptr<EVP_PKEY> key;
};

inline void must(bool good) {
  if (!good) throw std::runtime_error("OpenSSL refused to make a certificate");
}

template <typename Write>
std::string pem_text(Write write) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new(BIO_s_mem()), &BIO_free_all);
  must(bio != nullptr && write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

inline Issued issue(const Wanted& wanted) {
  Issued issued;
  issued.key.reset(wanted.rsa_bits == 0 ? EVP_EC_gen("P-256")
                                        : EVP_RSA_gen(static_cast<unsigned>(wanted.rsa_bits)),
                   &EVP_PKEY_free);
  issued.x509.reset(X509_new(), &X509_free);
  EVP_PKEY* key = issued.key.get();
  X509* x509 = issued.x509.get();
  must(key != nullptr && x509 != nullptr);
  X509_set_version(x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  ASN1_TIME_set_string(X509_getm_notBefore(x509), wanted.not_before.c_str());
  ASN1_TIME_set_string(X509_getm_notAfter(x509), wanted.not_after.c_str());
  const auto* name = reinterpret_cast<const unsigned char*>("Egret test");
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC, name, -1, -1, 0);
  X509_set_issuer_name(x509, X509_get_subject_name(x509));
  X509_set_pubkey(x509, key);
  X509_EXTENSION* constraints = X509V3_EXT_conf_nid(
      nullptr, nullptr, NID_basic_constraints, wanted.authority ? "critical,CA:TRUE" : "CA:FALSE");
  must(constraints != nullptr);
  X509_add_ext(x509, constraints, -1);
  X509_EXTENSION_free(constraints);
  must(X509_sign(x509, key, EVP_sha256()) > 0);

  issued.certificate = pem_text([&](BIO* bio) { return PEM_write_bio_X509(bio, x509); });
  const auto written = [&](auto write, const EVP_CIPHER* cipher) {
    auto* phrase = reinterpret_cast<unsigned char*>(const_cast<char*>("s3cret"));
    return pem_text([&](BIO* bio) {
      return write(bio, key, cipher, cipher == nullptr ? nullptr : phrase,
                   cipher == nullptr ? 0 : 6, nullptr, nullptr);
    });
  };
  issued.private_key = written(&PEM_write_bio_PrivateKey, nullptr);
  issued.encrypted_key = written(&PEM_write_bio_PrivateKey, EVP_aes_128_cbc());
  issued.traditional_encrypted = written(&PEM_write_bio_PrivateKey_traditional, EVP_aes_128_cbc());
  return issued;
}

// An empty list of `issuer`.
inline std::string revocation_list(const Issued& issuer,
                                   const std::string& next_update = "21000101000000Z") {
  const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> list(X509_CRL_new(), &X509_CRL_free);
  const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> time(ASN1_TIME_new(),
                                                                   &ASN1_TIME_free);
  must(list != nullptr && time != nullptr);
  X509_CRL_set_version(list.get(), 1);
  X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(issuer.x509.get()));
  ASN1_TIME_set_string(time.get(), "20200101000000Z");
  X509_CRL_set1_lastUpdate(list.get(), time.get());
  ASN1_TIME_set_string(time.get(), next_update.c_str());
  X509_CRL_set1_nextUpdate(list.get(), time.get());
  must(X509_CRL_sign(list.get(), issuer.key.get(), EVP_sha256()) > 0);
  return pem_text([&](BIO* bio) { return PEM_write_bio_X509_CRL(bio, list.get()); });
}

}  // namespace egret::config
