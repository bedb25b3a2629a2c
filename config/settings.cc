#include "config/settings.h"

#include <algorithm>

namespace egret::config {

policy::Judge Settings::judge(std::vector<policy::Endpoint> own) const {
  return {mode, defaults, rules,
          policy::AddressContext{.nat64_prefixes = resolver.nat64_prefixes,
                                 .own_listeners = std::move(own)}};
}

namespace {

bool holds_secret(const policy::Rule& rule) {
  return !rule.headers.set.empty() || rule.way.tls.client_certificate ||
         (rule.way.via && !rule.way.via->authorization.empty());
}

}  // namespace

bool Settings::holds_secrets() const {
  return admin.token.has_value() || (queue && queue->password) || interception || !keys.empty() ||
         holds_secret(defaults) || std::ranges::any_of(rules, holds_secret) ||
         std::ranges::any_of(listeners,
                             [](const Listener& listener) { return listener.tls.has_value(); }) ||
         std::ranges::any_of(senders.all(), [](const policy::Sender& sender) {
           return sender.scheme != policy::Sender::Scheme::none;
         });
}

}  // namespace egret::config
