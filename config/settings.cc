#include "config/settings.h"

namespace egret::config {

policy::Judge Settings::judge(std::vector<policy::Endpoint> own) const {
  return {mode, defaults, rules,
          policy::AddressContext{.nat64_prefixes = resolver.nat64_prefixes,
                                 .own_listeners = std::move(own)}};
}

}  // namespace egret::config
