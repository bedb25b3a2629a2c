#pragma once

#include <memory>
#include <vector>

#include "proxy/async/loop.h"
#include "proxy/net/resolver.h"

namespace egret::net {

struct AresOptions {
  std::vector<policy::Endpoint> servers;  // empty: those of /etc/resolv.conf
  Duration timeout = std::chrono::seconds(2);
  uint32_t tries = 2;
  bool hosts_file = false;
};

// AresResolver asks the name servers with c-ares on a worker's loop: UDP, TCP when truncated, no
// search domains, no hosts file unless asked. Every name is checked to be one that DNS can carry
// before c-ares sees it (c-ares itself would read 010.0.0.1 as an address).
//   Throws std::runtime_error when c-ares cannot start (no server configured).
class AresResolver final : public Resolver {
 public:
  AresResolver(async::Loop& loop, const AresOptions& options);
  ~AresResolver() override;
  async::Task<Result<Answer>> resolve(std::string name, Deadline deadline) override;

 private:
  class Channel;
  std::unique_ptr<Channel> channel_;
};

}  // namespace egret::net
