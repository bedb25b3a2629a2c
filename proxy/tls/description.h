#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace egret::tls {

// What a person wants to know of a CA before trusting it.
struct Description {
  std::string subject;      // RFC 2253
  std::string fingerprint;  // SHA-256 of the certificate, "AB:CD:…"
  std::string from;         // UTC
  std::string until;
  std::string constraints;  // the name constraints in OpenSSL's words, a line each; empty: none
};

// Of the first certificate in `pem`. Errors: internal_error: there is none, or it is no CA.
Result<Description> describe_ca(std::string_view pem);

}  // namespace egret::tls
