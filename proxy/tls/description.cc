#include "proxy/tls/description.h"

#include <openssl/pem.h>

#include <array>

#include "proxy/tls/openssl.h"
#include "proxy/tls/words.h"

namespace egret::tls {
namespace {

// What `print` writes.
template <typename Print>
std::string printed(Print print) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio) throw std::bad_alloc();
  print(bio.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

std::string fingerprint(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &size);
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    if (i > 0) out += ':';
    out += kHex[digest[i] >> 4];
    out += kHex[digest[i] & 15];
  }
  return out;
}

}  // namespace

Result<Description> describe_ca(std::string_view pem) {
  const Bio bio = reading(pem);
  const Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
  if (!certificate) return Unexpected(Reason::internal_error, "no certificate: " + take_error());
  X509* ca = certificate.get();
  if (X509_check_ca(ca) != 1)
    return Unexpected(Reason::internal_error, "it is no CA's certificate");
  Description description;
  description.subject = printed(
      [&](BIO* out) { X509_NAME_print_ex(out, X509_get_subject_name(ca), 0, XN_FLAG_RFC2253); });
  description.fingerprint = fingerprint(ca);
  description.from = printed([&](BIO* out) { ASN1_TIME_print(out, X509_get0_notBefore(ca)); });
  description.until = printed([&](BIO* out) { ASN1_TIME_print(out, X509_get0_notAfter(ca)); });
  const int at = X509_get_ext_by_NID(ca, NID_name_constraints, -1);
  if (at >= 0) {
    description.constraints =
        printed([&](BIO* out) { X509V3_EXT_print(out, X509_get_ext(ca, at), 0, 2); });
  }
  return description;
}

}  // namespace egret::tls
