#pragma once

#include "policy/url.h"
#include "proxy/async/task.h"
#include "proxy/buffer.h"
#include "proxy/net/stream.h"

namespace egret::proxy {

// TunnelGate is what `tunnel_sni: match` puts before a tunnel: nothing goes to the destination
// until the sender's ClientHello is here whole and names the CONNECT's host (RFC 6066 3).
//   A name is compared without regard to case and to one dot at its end. A hello without one passes
//   only when the host is an IP literal, since SNI has no words for those. With Encrypted Client
//   Hello the outer name is compared: the inner one is nobody's to see but its server's.
//   Owner: the tunnel. One thread.
class TunnelGate {
 public:
  TunnelGate(BufferPool& buffers, net::Stream& sender, const policy::Host& host)
      : buffers_(buffers), sender_(sender), host_(host) {}

  // Reads on into `early`, which may be empty, until it begins with a hello that may pass. Its
  // bytes, and those behind, are there unaltered. No memory is held for a sender that says nothing.
  // Errors:
  //   tunnel_sni_mismatch  another name, or none; the sender was sent the fatal alert
  //                        unrecognized_name (RFC 8446 6.2), as its destination would
  //   tunnel_not_tls       no ClientHello (proxy/tls/client_hello.h), or the sender ended within it
  //   tunnel_idle          not whole by `deadline`, or no memory for it until then
  //   tunnel_reset         the sender reset
  async::Task<Result<>> pass(Buffer& early, Deadline deadline);

 private:
  bool make_room(Buffer& early);
  async::Task<Result<>> read_more(Buffer& early, Deadline deadline);
  async::Task<void> send_alert(Deadline deadline);

  BufferPool& buffers_;
  net::Stream& sender_;
  const policy::Host& host_;
};

}  // namespace egret::proxy
