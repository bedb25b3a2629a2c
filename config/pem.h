#pragma once

#include <string>
#include <string_view>

namespace egret::config::pem {

// What PEM text (RFC 7468) holds, and whether it can be used. The only user of OpenSSL in this
// room.
//   Each sentence goes on behind the file's name; empty: nothing is wrong. Never a byte of the
//   text. Dates are compared with the machine's clock.
struct Checked {
  std::string error;
  std::string warning;
};

// Whose certificate the first of a chain is.
enum class Owner { peer, authority };

// A chain, the own certificate first, and nothing else: what is kept beside it is no secret.
//   peer: of a listener or of Egret as a client. Warning: expired, or not valid yet.
//   authority: that signs others. Error: expired, or not a CA (RFC 5280 4.2.1.9, 4.2.1.3).
//   Error: a key below 112 bits of security, which TLS would refuse.
Checked check_chain(std::string_view text, Owner owner);

// Trust anchors: one or more certificates and nothing else.
Checked check_authorities(std::string_view text);

// Revocation lists: one or more and nothing else. Warning: one whose next update is due.
Checked check_revocation_lists(std::string_view text);

// One private key without a passphrase. Other blocks beside it are passed over.
Checked check_private_key(std::string_view text);

// A private key without a passphrase, and nothing else, that signs by an algorithm of RFC 9421 3.3:
// "ed25519", "ecdsa-p256-sha256", or "rsa-pss-sha512" with 2048 bits at least.
Checked check_signing_key(std::string_view text, std::string_view algorithm);

// Whether `public_key` is that of the Ed25519 key `seed` (RFC 8032 5.1.5), 32 bytes each.
bool is_ed25519_pair(std::string_view seed, std::string_view public_key);

// Whether the private key, which was checked, is that of the first certificate of the checked
// chain.
bool belongs(std::string_view private_key, std::string_view chain);

}  // namespace egret::config::pem
