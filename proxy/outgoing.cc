#include "proxy/outgoing.h"

#include <algorithm>
#include <stdexcept>

#include "base/text.h"

namespace egret::proxy {
namespace {

std::unique_ptr<signing::Signer> make(std::span<const policy::SigningKey* const> keys) {
  Result<std::unique_ptr<signing::Signer>> made = signing::make_signer(keys);
  if (!made) throw std::runtime_error("keys: " + made.error().detail);
  return std::move(*made);
}

const policy::SigningKey& named(std::span<const policy::SigningKey> keys, std::string_view name) {
  const auto found = std::ranges::find(keys, name, &policy::SigningKey::name);
  if (found == keys.end()) throw std::runtime_error("keys: no key is called " + std::string(name));
  return *found;
}

}  // namespace

Outgoing::Outgoing(const policy::Rule& rule, std::span<const policy::SigningKey> keys)
    : removed_(rule.headers.remove) {
  std::string lines;
  for (const policy::HeaderValue& each : rule.headers.set) {
    removed_.push_back(text::to_lower(each.name));
    lines.append(each.name).append(": ").append(each.value.reveal()).append("\r\n");
  }
  if (rule.consent.scheme == policy::ConsentScheme::cloudevents) {
    // "The delivery request MUST include" it once it was granted (Web Hooks 2.1, 4.1.2).
    removed_.emplace_back("webhook-request-origin");
    lines.append("WebHook-Request-Origin: ").append(rule.consent.origin).append("\r\n");
  }
  set_lines_ = Secret(std::move(lines));
  if (rule.sign.empty()) return;
  std::vector<const policy::SigningKey*> all;
  for (const std::string& name : rule.sign) all.push_back(&named(keys, name));
  all_ = make(all);
  if (all.size() > 1) {
    for (size_t i = 0; i < all.size(); ++i) by_name_.push_back({rule.sign[i], make({&all[i], 1})});
  }
  const std::span<const std::string> owned = all_->owned();
  removed_.insert(removed_.end(), owned.begin(), owned.end());
}

signing::Signer* Outgoing::signer(std::string_view key) const {
  const auto found = std::ranges::find(by_name_, key, &Named::name);
  return found == by_name_.end() ? all_.get() : found->signer.get();
}

}  // namespace egret::proxy
