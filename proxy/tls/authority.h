#pragma once

#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "policy/address_registry.h"
#include "policy/rules.h"
#include "policy/url.h"
#include "proxy/tls/openssl.h"

namespace egret::tls {

// What a new interception CA is to be like.
struct CaOptions {
  std::string name = "Egret interception CA";  // its subject's CN
  int days = 3650;
  // Name constraints (RFC 5280 4.2.1.10); both empty: any host. A domain covers those below it.
  std::vector<std::string> permitted_dns = {};
  std::vector<policy::Prefix> permitted_ips = {};
};

// A new self-signed CA: ECDSA P-256, pathlen 0, valid from an hour ago. PEM. Errors:
// internal_error.
Result<policy::KeyPair> make_ca(const CaOptions& options, WallTime now);

// A certificate for one host, with what goes with it.
struct Leaf {
  Certificate certificate;
  Key key;
  // The authority's, which must outlive this.
  STACK_OF(X509) * issuers;  // between it and the root, which senders have; null: none
};

// Authority makes the certificates that intercepted senders see. One key for all of them, made at
// the start: they differ in the name only, and a key a host would cost more than the handshake.
//   One thread: a worker's.
class Authority {
  static void free_chain(STACK_OF(X509) * chain) { sk_X509_pop_free(chain, X509_free); }

 public:
  static constexpr size_t kMostLeafs = 2048;  // about 3 KiB each, 6 MiB in all
  static constexpr Duration kLife = std::chrono::hours(24);
  static constexpr Duration kBackdated = std::chrono::hours(1);  // for senders whose clock is slow

  // Errors: internal_error: the PEM is no CA with its key.
  static Result<std::shared_ptr<Authority>> load(const policy::KeyPair& ca);

  // For `host`: a DNS or IP SAN. Kept for the next time, until a quarter of its life is left or the
  // CA ends. Errors: interception_failed: the CA has expired, its name constraints exclude the
  // host, or it may not sign servers' certificates.
  Result<Leaf> leaf(const policy::Host& host, WallTime now);

  [[nodiscard]] uint64_t minted() const { return minted_; }
  [[nodiscard]] uint64_t cached() const { return cached_; }

 private:
  Leaf present(X509* certificate);
  struct Kept {
    std::string host;
    Certificate certificate;
    WallTime from;  // a clock may be set back
    WallTime renew;
  };
  using Chain = std::unique_ptr<STACK_OF(X509), Freed<free_chain>>;
  Authority(Certificate certificate, Chain chain, Key ca_key, Key leaf_key, Store trust);
  Result<Kept> mint(const policy::Host& host, WallTime now);
  Result<> check(X509* leaf, const policy::Host& host, WallTime now);

  Certificate certificate_;
  Chain chain_;
  Key ca_key_;
  Key leaf_key_;
  Store trust_;
  std::list<Kept> kept_;  // most recently used first
  std::unordered_map<std::string_view, std::list<Kept>::iterator> by_host_;
  uint64_t minted_ = 0;
  uint64_t cached_ = 0;
};

}  // namespace egret::tls
