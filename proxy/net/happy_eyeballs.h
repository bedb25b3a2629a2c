#pragma once

#include <optional>

#include "proxy/net/connector.h"
#include "proxy/net/dialer.h"

namespace egret::net {

// HappyEyeballs is the Connector: it races a Dialer over the permitted addresses (RFC 8305).
class HappyEyeballs final : public Connector {
 public:
  // RFC 8305 section 5: the Connection Attempt Delay's recommended value.
  static constexpr Duration kAttemptDelay = std::chrono::milliseconds(250);

  explicit HappyEyeballs(Dialer& dialer) : dialer_(dialer) {}
  async::Task<Result<Connection>> connect(policy::PermittedAddresses addresses,
                                          std::optional<policy::Address> source,
                                          Deadline deadline) override;

 private:
  Dialer& dialer_;
};

// RFC 8305 section 4: families alternate, IPv6 first; the order within a family is kept.
policy::PermittedAddresses interleave(policy::PermittedAddresses addresses);

}  // namespace egret::net
