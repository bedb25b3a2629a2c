#pragma once

#include <memory>
#include <optional>

#include "base/result.h"
#include "policy/judge.h"
#include "proxy/async/task.h"
#include "proxy/net/stream.h"

namespace egret::net {

struct Connection {
  std::unique_ptr<Stream> stream;
  policy::Endpoint peer;  // the permitted endpoint that answered
};

// Connector opens outbound connections. It is the only class that may, and it takes only addresses
// that policy has permitted.
//   Owner: the worker. Outlives every Task it returned. One thread: the worker's loop.
//   Cancel: destroying the Task closes the half-open sockets.
class Connector {
 public:
  virtual ~Connector() = default;
  // Connects to the first of `addresses` that answers: IPv6 and IPv4 interleaved, 250 ms apart or
  // as soon as the one before has failed (RFC 8305). `getpeername` must then be what was permitted.
  // With a `source`, which is an address of this machine, from there: only addresses of its family
  // are tried.
  // Errors: connection_refused (all refused), connection_timeout (deadline), destination_unroutable
  // (no route; no address of the source's family, or the source is not this machine's, and the
  // detail names it), connection_failed (anything else), peer_mismatch, out_of_resources (no
  // descriptor or no local port). With several addresses, the error of the last one tried.
  virtual async::Task<Result<Connection>> connect(policy::PermittedAddresses addresses,
                                                  std::optional<policy::Address> source,
                                                  Deadline deadline) = 0;
};

}  // namespace egret::net
