#include "proxy/tls/words.h"

#include <openssl/err.h>

#include <algorithm>
#include <iterator>

#include "proxy/tls/openssl.h"

namespace egret::tls {

std::string certificate_fault(long error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "it has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "it is not valid yet";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "it is for another name";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "it is self-signed";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "its root is not trusted";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return "its issuer is not known";
    case X509_V_ERR_CERT_REVOKED:
      return "it is revoked";
    case X509_V_ERR_UNABLE_TO_GET_CRL:
      return "no revocation list of its issuer is at hand";
    case X509_V_ERR_CRL_HAS_EXPIRED:
      return "its issuer's revocation list has expired";
    case X509_V_ERR_CRL_NOT_YET_VALID:
      return "its issuer's revocation list is not valid yet";
    case X509_V_ERR_EE_KEY_TOO_SMALL:
      return "its key is too weak";
    case X509_V_ERR_CA_KEY_TOO_SMALL:
      return "its issuer's key is too weak";
    case X509_V_ERR_CA_MD_TOO_WEAK:
      return "its signature is too weak";
    case X509_V_ERR_INVALID_PURPOSE:
      return "it is not meant for this use";
    case X509_V_ERR_INVALID_CA:
      return "its issuer is no certificate authority";
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
      return "its chain is too long";
    case X509_V_ERR_PERMITTED_VIOLATION:
    case X509_V_ERR_EXCLUDED_VIOLATION:
      return "its issuer may not vouch for the name (name constraint)";
    case X509_V_ERR_APPLICATION_VERIFICATION:
      return "no key of its chain is pinned";
    default:
      return X509_verify_cert_error_string(error);
  }
}

std::string alert_name(int description) {
  std::string name = SSL_alert_desc_string_long(description);
  for (char& c : name) {
    if (c == ' ') c = '_';
  }
  // Newer than OpenSSL's table.
  if (description == SSL_AD_CERTIFICATE_REQUIRED) return "certificate_required";
  if (description == SSL_AD_NO_APPLICATION_PROTOCOL) return "no_application_protocol";
  if (description == SSL_AD_MISSING_EXTENSION) return "missing_extension";
  if (name == "unknown") return "alert_" + std::to_string(description);
  if (name == "unknown_CA") return "unknown_ca";
  return name;
}

bool means_distrust(int description) {
  static constexpr int kDistrust[] = {SSL_AD_BAD_CERTIFICATE, SSL_AD_UNSUPPORTED_CERTIFICATE,
                                      SSL_AD_CERTIFICATE_UNKNOWN, SSL_AD_UNKNOWN_CA};
  return std::ranges::find(kDistrust, description) != std::end(kDistrust);
}

std::string take_error() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return "no reason is known";
  switch (ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0) {
    case SSL_R_WRONG_VERSION_NUMBER:
      return "what came is no TLS (wrong version number)";
    case SSL_R_HTTP_REQUEST:
      return "plain HTTP came where TLS is spoken; use https:// for this proxy";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "no client certificate was presented, and one is required";
    default:
      break;
  }
  const char* reason = ERR_reason_error_string(error);
  return reason != nullptr ? reason : "error " + std::to_string(error);
}

}  // namespace egret::tls
