#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "policy/address.h"
#include "policy/url.h"

namespace egret::policy {

// A certificate chain and its key, as PEM text that was checked when it was read.
struct KeyPair {
  std::string certificate;
  Secret private_key;
  bool operator==(const KeyPair& other) const {
    return certificate == other.certificate && private_key == other.private_key;
  }
};

// SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7469 2.4).
using Pin = std::array<uint8_t, 32>;

// How TLS to a destination is done and what of it is believed.
struct Tls {
  enum class Version : uint8_t { tls12, tls13 } min_version = Version::tls12;
  std::string ca;         // PEM of the trust anchors; empty: the system's
  std::string crl;        // PEM of revocation lists; empty: revocation is not looked at
  std::vector<Pin> pins;  // empty: any key; else one certificate of the chain has one of them
  std::optional<KeyPair> client_certificate;
  bool operator==(const Tls&) const = default;
};

// A parent proxy that the operator named: reached without an address verdict.
struct Via {
  Host host;
  uint16_t port = 0;
  Secret authorization;  // what stands behind "Proxy-Authorization: "; empty: nothing is sent
  // What the parent is asked for: the address that was judged, or the name, which it then resolves
  // again by itself.
  enum class Ask : uint8_t { address, name } ask = Ask::address;
  bool operator==(const Via& other) const {
    return host == other.host && port == other.port && ask == other.ask &&
           authorization == other.authorization;
  }
};

// How a rule's connections are made, beyond where they lead: what a kept one must have in common
// with the next request's.
struct Way {
  Tls tls;
  std::optional<Via> via;
  std::optional<Address> source;  // bound before connecting
  bool operator==(const Way&) const = default;
};

}  // namespace egret::policy
