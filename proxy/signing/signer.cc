#include <algorithm>
#include <map>

#include "base/text.h"
#include "proxy/signing/scheme.h"

namespace egret::signing {
namespace {

using policy::SigningKey;
using policy::SigningScheme;

// Keys of one group write the same fields.
struct Group {
  enum class Kind : uint8_t { standard, messages, stripe, single } kind;
  std::string fields;
  auto operator<=>(const Group&) const = default;
};

Group group_of(const SigningKey& key) {
  const std::string fields =
      text::to_lower(key.signature_header) + " " + text::to_lower(key.timestamp_header);
  switch (key.scheme) {
    case SigningScheme::standard_webhooks:
    case SigningScheme::standard_webhooks_ed25519:
      return {Group::Kind::standard, fields};
    case SigningScheme::http_message_signatures:
      return {Group::Kind::messages, {}};
    case SigningScheme::stripe:
      return {Group::Kind::stripe, fields};
    default:
      return {Group::Kind::single, fields};
  }
}

Result<std::unique_ptr<ReadyKey>> make_ready(const SigningKey& key) {
  auto ready = std::make_unique<ReadyKey>();
  ready->key = key;
  for (policy::SigningSecret& secret : ready->key.secrets) {
    Result<ReadySecret> made = ReadySecret::make(ready->key, secret);
    if (!made) return Unexpected(std::move(made.error()));
    ready->secrets.push_back(std::move(*made));
    secret.bytes = Secret();  // it has been set up: one copy less
  }
  return ready;
}

std::unique_ptr<Scheme> make_scheme(Group::Kind kind, ReadyKeys keys) {
  switch (kind) {
    case Group::Kind::standard:
      return make_standard_webhooks(std::move(keys));
    case Group::Kind::messages:
      return make_message_signatures(std::move(keys));
    case Group::Kind::stripe:
      return make_stripe(std::move(keys));
    case Group::Kind::single:
      return make_single(std::move(keys));
  }
  return nullptr;
}

class SchemeSigner final : public Signer {
 public:
  explicit SchemeSigner(std::vector<std::unique_ptr<Scheme>> schemes)
      : schemes_(std::move(schemes)), owned_{"webhook-id"} {
    for (const auto& scheme : schemes_) {
      std::vector<std::string> more = scheme->owned();
      owned_.insert(owned_.end(), std::make_move_iterator(more.begin()),
                    std::make_move_iterator(more.end()));
      covers_fields_ |= scheme->covers_fields();
    }
  }
  std::span<const std::string> owned() const override { return owned_; }
  bool covers_fields() const override { return covers_fields_; }
  Result<> append(std::string& out, const Message& message) override {
    using std::chrono::seconds;
    timestamp_.clear();
    const auto now = std::chrono::floor<seconds>(message.now.time_since_epoch());
    text::append_decimal(timestamp_, static_cast<uint64_t>(now.count()));
    out.append("webhook-id: ").append(message.id).append("\r\n");
    for (const auto& scheme : schemes_) {
      Result<> appended = scheme->append(out, message, timestamp_);
      if (!appended) return appended;
    }
    return {};
  }

 private:
  std::vector<std::unique_ptr<Scheme>> schemes_;
  std::vector<std::string> owned_;
  bool covers_fields_ = false;
  std::string timestamp_;
};

// Two schemes that would write one field twice.
Result<> check_apart(const std::vector<std::unique_ptr<Scheme>>& schemes) {
  std::vector<std::string> all;
  for (const auto& scheme : schemes) {
    for (std::string& name : scheme->owned()) {
      if (std::ranges::find(all, name) != all.end()) {
        return Unexpected(Reason::signing_failed, "two keys write the field " + name);
      }
      all.push_back(std::move(name));
    }
  }
  return {};
}

}  // namespace

Result<ReadySecret> ReadySecret::make(const SigningKey& key, const policy::SigningSecret& secret) {
  ReadySecret ready;
  ready.key_ = &key;
  ready.id_ = key_id(key, secret);
  ready.not_before_ = secret.not_before;
  ready.not_after_ = secret.not_after;
  if (key.derive) ready.master_ = secret.bytes;
  ready.one_ = make_primitive(key.algorithm, secret.bytes.reveal());
  if (ready.one_) return ready;
  return Unexpected(Reason::signing_failed, "a secret of the key " + key.name + " is no key");
}

SigningPrimitive* ReadySecret::of(std::string_view host) {
  if (!key_->derive) return one_.get();
  if (by_host_.size() >= kMostHosts && !by_host_.contains(std::string(host))) by_host_.clear();
  std::unique_ptr<SigningPrimitive>& mine = by_host_[std::string(host)];
  if (!mine) mine = make_primitive(key_->algorithm, derived(*key_, master_, host).reveal());
  return mine.get();
}

Result<std::unique_ptr<Signer>> make_signer(std::span<const SigningKey* const> keys) {
  std::map<Group, ReadyKeys> groups;
  for (const SigningKey* key : keys) {
    Result<std::unique_ptr<ReadyKey>> ready = make_ready(*key);
    if (!ready) return Unexpected(std::move(ready.error()));
    ReadyKeys& group = groups[group_of(*key)];
    group.push_back(std::move(*ready));
    if (group.size() > 1 && group_of(*key).kind == Group::Kind::single) {
      return Unexpected(Reason::signing_failed, "the keys " + group[0]->key.name + " and " +
                                                    key->name + " write the same field");
    }
  }
  std::vector<std::unique_ptr<Scheme>> schemes;
  for (auto& [group, ready] : groups) schemes.push_back(make_scheme(group.kind, std::move(ready)));
  const Result<> apart = check_apart(schemes);
  if (!apart) return Unexpected(apart.error());
  return std::unique_ptr<Signer>(std::make_unique<SchemeSigner>(std::move(schemes)));
}

}  // namespace egret::signing
