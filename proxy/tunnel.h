#pragma once

#include <optional>

#include "proxy/async/task_set.h"
#include "proxy/async/wait.h"
#include "proxy/services.h"

namespace egret::proxy {

// Tunnel is what CONNECT becomes: bytes both ways, never looked at (RFC 9110 9.3.6), but for the
// first that the sender sends when the rule says `tunnel_sni: match` (proxy/tunnel_gate.h).
//   A side that ends is passed on as a half-close, and the other may go on. It ends when both have,
//   when nothing moved either way for the longer of timeouts.idle and timeouts.response (an opaque
//   exchange may wait as long for its answer as a plain one), or after timeouts.tunnel.
//   Buffers are held only while bytes are in flight. Owner: the exchange. One thread.
class Tunnel {
 public:
  // `host` is the CONNECT's; it and `rule` outlive the tunnel.
  Tunnel(Services& services, net::Stream& sender, net::Stream& destination,
         const policy::Rule& rule, const policy::Host& host);

  // Says 200 to the sender, then carries. `early` has what the sender sent with its CONNECT.
  //   Errors: tunnel_idle, tunnel_expired, tunnel_reset, sender_disconnected (before it opened);
  //   tunnel_sni_mismatch, tunnel_not_tls: the destination has not got a byte then.
  async::Task<Result<>> run(Buffer& early);

  [[nodiscard]] bool opened() const { return opened_; }
  [[nodiscard]] uint64_t bytes_up() const { return up_.bytes; }
  [[nodiscard]] uint64_t bytes_down() const { return down_.bytes; }

 private:
  struct Way {
    net::Stream& from;
    net::Stream& to;
    uint64_t bytes = 0;
    bool ended = false;  // the end was passed on
  };
  async::Task<Result<>> open();
  async::Task<Result<>> pass_gate(Buffer& early);
  async::Task<void> carry_to_end(Way& way);
  async::Task<Result<>> carry(Way& way);
  async::Task<Result<>> move_on(Way& way, Buffer& buffer);
  // Waits until the way has something to read: false when the tunnel's time is up.
  async::Task<bool> readable(net::Stream& from);
  [[nodiscard]] Failure time_is_up() const;

  Services& services_;
  const policy::Rule& rule_;
  const policy::Host& host_;
  Duration idle_;
  Deadline end_;
  TimePoint last_moved_;  // by either way
  Way up_;
  Way down_;
  bool opened_ = false;
  std::optional<Failure> failure_;  // of the first way that failed
  async::Event changed_;
  async::TaskSet ways_;  // cancelled first
};

}  // namespace egret::proxy
