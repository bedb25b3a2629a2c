#pragma once

#include <openssl/pem.h>

#include <ctime>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "policy/rules.h"
#include "proxy/tls/openssl.h"

namespace egret::test {

// The tests' time: every certificate here is made for it, none for the machine's clock.
inline constexpr WallTime kNow{std::chrono::sys_days{std::chrono::year{2026} / 11 / 25} +
                               std::chrono::hours(12)};

inline tls::Certificate certificate_of(std::string_view pem) {
  return tls::Certificate(PEM_read_bio_X509(tls::reading(pem).get(), nullptr, nullptr, nullptr));
}

std::string printed(auto print) {
  const tls::Bio bio(BIO_new(BIO_s_mem()));
  print(bio.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

// "critical DNS:a.example", in OpenSSL's words; empty: it is not there.
inline std::string extension(const X509* certificate, int id) {
  const int at = X509_get_ext_by_NID(certificate, id, -1);
  if (at < 0) return {};
  X509_EXTENSION* found = X509_get_ext(certificate, at);
  return (X509_EXTENSION_get_critical(found) == 1 ? "critical " : "") +
         printed([&](BIO* out) { X509V3_EXT_print(out, found, 0, 0); });
}

inline std::string subject(const X509* certificate) {
  return printed([&](BIO* out) {
    X509_NAME_print_ex(out, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  });
}

inline WallTime time_of(const ASN1_TIME* time) {
  tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

// A CA as an operator may bring one: not made by Egret, and not always fit for the task. Values are
// in the words of OpenSSL's x509v3_config; empty: without that extension. Valid from 2026-01-01.
struct CustomCa {
  const char* key = "P-256";  // or P-384, RSA, ED25519
  const char* until = "20300101000000Z";
  const char* basic_constraints = "critical,CA:TRUE";
  const char* key_usage = "critical,keyCertSign";
  const char* usage = "";  // extendedKeyUsage
  bool key_identifier = true;
  const char* issuer = "Custom";  // its own name; another's: not self-signed by name
};

inline tls::Key custom_key(const std::string& name) {
  if (name == "RSA") return tls::Key(EVP_RSA_gen(2048));
  if (name == "ED25519") return tls::Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  return tls::Key(EVP_EC_gen(name.c_str()));
}

inline policy::KeyPair custom_ca(const CustomCa& wanted) {
  const tls::Key key = custom_key(wanted.key);
  const tls::Certificate made(X509_new());
  X509* ca = made.get();
  bool good = X509_set_version(ca, 2) == 1;
  ASN1_INTEGER_set(X509_get_serialNumber(ca), 7);
  X509_set_pubkey(ca, key.get());
  ASN1_TIME_set_string_X509(X509_getm_notBefore(ca), "260101000000Z");
  ASN1_TIME_set_string(X509_getm_notAfter(ca), wanted.until);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(ca), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("Custom"), -1, -1, 0);
  X509_NAME_add_entry_by_txt(X509_get_issuer_name(ca), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(wanted.issuer), -1, -1, 0);
  const auto add = [&](int id, const char* value) {
    if (*value == '\0') return;
    X509V3_CTX context;
    X509V3_set_ctx(&context, ca, ca, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value);
    good = good && extension != nullptr && X509_add_ext(ca, extension, -1) == 1;
    X509_EXTENSION_free(extension);
  };
  add(NID_basic_constraints, wanted.basic_constraints);
  add(NID_key_usage, wanted.key_usage);
  add(NID_ext_key_usage, wanted.usage);
  if (wanted.key_identifier) add(NID_subject_key_identifier, "hash");
  const bool digests = EVP_PKEY_is_a(key.get(), "ED25519") != 1;
  good = good && X509_sign(ca, key.get(), digests ? EVP_sha256() : nullptr) > 0;
  if (!good) throw std::runtime_error("a custom CA cannot be made");

  return {printed([&](BIO* bio) { PEM_write_bio_X509(bio, ca); }), Secret(printed([&](BIO* bio) {
            PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          }))};
}

}  // namespace egret::test
