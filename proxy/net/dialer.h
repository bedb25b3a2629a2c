#pragma once

#include <memory>
#include <optional>

#include "base/result.h"
#include "policy/judge.h"
#include "proxy/async/loop.h"
#include "proxy/async/task.h"
#include "proxy/net/stream.h"

namespace egret::net {

// Dialer makes one connection to one permitted address. SystemDialer's is the program's one dial.
//   Owner and thread as Connector.
class Dialer {
 public:
  virtual ~Dialer() = default;
  // From `source`, an address of this machine and of the same family, or from the one that the
  // route prefers.
  // Errors: connection_refused, connection_timeout, destination_unroutable (by `source` too: its
  // name is in the detail then), connection_failed, peer_mismatch, out_of_resources.
  virtual async::Task<Result<std::unique_ptr<Stream>>> dial(policy::PermittedAddress address,
                                                            std::optional<policy::Address> source,
                                                            Deadline deadline) = 0;
};

// Dials with the kernel's TCP. `getpeername` is compared with what was permitted before a byte is
// sent.
class SystemDialer final : public Dialer {
 public:
  explicit SystemDialer(async::Loop& loop) : loop_(loop) {}
  async::Task<Result<std::unique_ptr<Stream>>> dial(policy::PermittedAddress address,
                                                    std::optional<policy::Address> source,
                                                    Deadline deadline) override;

 private:
  async::Loop& loop_;
};

}  // namespace egret::net
