#pragma once

#include <string>
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
// before c-ares sees it (c-ares itself would read 010.0.0.1 as an address), and every reply is read
// by parse_reply, not by c-ares.
//   Each lookup has a c-ares channel of its own, and with it a UDP source port chosen by the kernel
//   and query ids of its own: a forger off the path must guess both (RFC 5452). c-ares drops what
//   comes from another address, or has another id or question, and waits on. No 0x20, no cookies,
//   no EDNS: answers beyond 512 octets come by TCP, where they can be neither forged nor fragments.
//   `timeout` is what the first try waits at most (c-ares takes off up to 7/16, by dice) and
//   doubles each time all servers have been tried. `tries` are for each server. A server that
//   answers SERVFAIL, NOTIMP or REFUSED counts as one that did not answer: the next is asked.
//   Without `servers`, /etc/resolv.conf is read for each lookup, so that its changes are followed;
//   with none in it, 127.0.0.1 is asked. Its `search` and `options`, and the variables LOCALDOMAIN,
//   RES_OPTIONS and HOSTALIASES, have no effect.
//   hosts_file: /etc/hosts first; a name that is in it, in either family, is not asked of DNS.
//   Throws std::runtime_error when c-ares cannot start.
class AresResolver final : public Resolver {
 public:
  AresResolver(async::Loop& loop, const AresOptions& options);
  async::Task<Result<Answer>> resolve(std::string name, Deadline deadline) override;

 private:
  async::Loop& loop_;
  AresOptions options_;
};

}  // namespace egret::net
