#pragma once

#include <string>
#include <string_view>

namespace egret::tls {

// What a failed check of a certificate means, to stand behind "the certificate of NAME: ".
// `error` is an X509_V_ERR_*.
std::string certificate_fault(long error);

// The name of a TLS alert (RFC 8446 6), as the RFC spells it: "unknown_ca".
std::string alert_name(int description);

// A peer says by this alert that it does not believe our certificate (RFC 8446 6.2).
bool means_distrust(int description);

// The oldest error in OpenSSL's queue of this thread, in its words, without file and line; the
// queue is empty afterwards. Never has key material in it.
std::string take_error();

}  // namespace egret::tls
