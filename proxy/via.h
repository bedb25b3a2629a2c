#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "proxy/async/task.h"
#include "proxy/buffer.h"
#include "proxy/net/stream.h"

namespace egret::proxy {

// The longest head that a parent proxy may answer with, in bytes.
inline constexpr size_t kMostParentHead = 16 * 1024;

// Asks the parent proxy at the far end of `parent` for a tunnel to `authority`, "host:port" as
// policy::Authority spells it (RFC 9110 9.3.6). `authorization` is what stands behind
// "Proxy-Authorization: "; nothing is sent when it is empty. It is in no error.
//   Afterwards the stream is the destination's: not a byte behind the answer's head has been read,
//   and none was there, since a destination that speaks before it is spoken to is another one's
//   answer or the parent's own words. `deadline` is for all of it. On an error the stream is of no
//   more use.
//   Errors:
//     parent_proxy_refused  an answer that is not 2xx; its status is in the detail
//     parent_proxy_failed   closed, reset, no HTTP, a head over kMostParentHead, bytes behind it
//     tls_timeout           not answered by `deadline`
//     memory_limit
async::Task<Result<>> connect_through(net::Stream& parent, std::string authority,
                                      Secret authorization, BufferPool& buffers, Deadline deadline);

}  // namespace egret::proxy
