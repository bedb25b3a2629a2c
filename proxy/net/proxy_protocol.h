#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "policy/address.h"
#include "proxy/async/task.h"
#include "proxy/net/stream.h"

namespace egret::net {

// The PROXY protocol, versions 1 and 2, by which a load balancer says whose connection it passes on
// (haproxy's doc/proxy-protocol.txt, 2.1 to 2.2). Who may say so is the listener's to know.

// Longest headers: of version 1 with its CRLF (2.1), and of what we take in version 2, which allows
// 64 KiB of TLVs behind 16 bytes.
inline constexpr size_t kMostProxyLine = 107;
inline constexpr size_t kMostProxyBlock = 2048;

// How many bytes to read next, never beyond the header's end, when `bytes` of it are there; 0 when
// it is whole. Pure. Error: proxy_protocol_invalid, as soon as they cannot become a header.
Result<size_t> missing_of_proxy_header(std::string_view bytes);

// Whose connection a whole header tells of; nothing when it is the load balancer's own. Pure.
//   nothing  version 1 UNKNOWN, version 2 LOCAL with whatever family: the standard has the
//            receiver use the real connection's ends
//   source   TCP4 and TCP6, INET and INET6 with STREAM. An IPv4-mapped one is given as IPv4. TLVs
//            are skipped, a checksum among them too.
//   Error: proxy_protocol_invalid for everything else. The standard leaves a receiver free to
//   refuse PROXY for UNSPEC, UNIX or DGRAM; we do, since the rules ask where a sender is.
Result<std::optional<policy::Endpoint>> parse_proxy_header(std::string_view header);

// Reads one header and not a byte of what follows: that is HTTP's or TLS's.
//   `deadline` is for the whole header. Errors: sender_disconnected when the peer closes before the
//   first byte, as health checks do; proxy_protocol_invalid, also when it closes later, resets, or
//   is not done by `deadline`.
async::Task<Result<std::optional<policy::Endpoint>>> read_proxy_header(Stream& stream,
                                                                       Deadline deadline);

}  // namespace egret::net
