#pragma once

#include <memory>

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
  // Errors: connection_refused, connection_timeout, destination_unroutable, connection_failed,
  // peer_mismatch, out_of_resources.
  virtual async::Task<Result<std::unique_ptr<Stream>>> dial(policy::PermittedAddress address,
                                                            Deadline deadline) = 0;
};

// Dials with the kernel's TCP. `getpeername` is compared with what was permitted before a byte is
// sent.
class SystemDialer final : public Dialer {
 public:
  explicit SystemDialer(async::Loop& loop) : loop_(loop) {}
  async::Task<Result<std::unique_ptr<Stream>>> dial(policy::PermittedAddress address,
                                                    Deadline deadline) override;

 private:
  async::Loop& loop_;
};

}  // namespace egret::net
