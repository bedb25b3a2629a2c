#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/signing/primitives.h"
#include "proxy/signing/signing.h"

namespace egret::signing {

// One secret of a key, ready to sign for any host. One thread.
class ReadySecret {
 public:
  // Errors: signing_failed, when OpenSSL does not take the secret.
  static Result<ReadySecret> make(const policy::SigningKey& key,
                                  const policy::SigningSecret& secret);
  [[nodiscard]] bool active(WallTime now) const { return now >= not_before_ && now < not_after_; }
  [[nodiscard]] const std::string& id() const { return id_; }
  // Never null. Of a key with `derive` one for each host; the last kMostHosts are kept.
  SigningPrimitive* of(std::string_view host);

 private:
  static constexpr size_t kMostHosts = 1024;
  const policy::SigningKey* key_ = nullptr;
  Secret master_;  // of `derive`
  std::unique_ptr<SigningPrimitive> one_;
  std::unordered_map<std::string, std::unique_ptr<SigningPrimitive>> by_host_;
  std::string id_;
  WallTime not_before_;
  WallTime not_after_;
};

// A key, made ready.
struct ReadyKey {
  policy::SigningKey key;
  std::vector<ReadySecret> secrets;
};

// How the keys of one scheme that write the same fields write them.
class Scheme {
 public:
  // At least one key; `timestamp` is message.now in seconds. Errors as Signer::append.
  virtual ~Scheme() = default;
  virtual Result<> append(std::string& out, const Message& message, std::string_view timestamp) = 0;
  [[nodiscard]] virtual std::vector<std::string> owned() const = 0;  // lower case
  [[nodiscard]] virtual bool covers_fields() const { return false; }
};
using ReadyKeys = std::vector<std::unique_ptr<ReadyKey>>;
std::unique_ptr<Scheme> make_standard_webhooks(ReadyKeys keys);
std::unique_ptr<Scheme> make_message_signatures(ReadyKeys keys);
std::unique_ptr<Scheme> make_stripe(ReadyKeys keys);
// github, shopify or slack: one key.
std::unique_ptr<Scheme> make_single(ReadyKeys keys);

// Calls `put(secret, raw)` with the signature of each active secret of each key, or of the first
// one only. Errors: signing_failed, when a key has none that is active.
template <typename Put>
Result<> sign_with_each(const ReadyKeys& keys, const Message& message, Parts parts, bool first_only,
                        Put put) {
  Raw raw;
  for (const auto& ready : keys) {
    bool any = false;
    for (ReadySecret& secret : ready->secrets) {
      if (!secret.active(message.now) || (any && first_only)) continue;
      if (!secret.of(message.url.host.text)->sign(parts, raw)) {
        return Unexpected(Reason::signing_failed, "The key " + ready->key.name + " cannot sign.");
      }
      any = true;
      put(*ready, secret, raw.view());
    }
    if (any) continue;
    return Unexpected(Reason::signing_failed, "No secret of the key " + ready->key.name +
                                                  " is valid now (not_before, not_after).");
  }
  return {};
}

}  // namespace egret::signing
