#pragma once

#include <string>
#include <string_view>

#include "proxy/admin/response.h"
#include "proxy/consent.h"
#include "proxy/http/message.h"
#include "proxy/queue/client.h"

namespace egret::admin {

// By which a destination agrees later to be called: CloudEvents' "HTTP 1.1 Web Hooks", 4.1.3.

// The rate that a callback grants, in requests a minute, 0 for any: `WebHook-Allowed-Rate` as a
// field or in the query; any when it says none.
// Errors: header_invalid, with a sentence; a HEAD is one: it changes nothing.
Result<uint64_t> callback_rate(const http::RequestHead& head, std::string_view query);

// Takes the token. `client` is null where nothing is kept. `wall` is now.
async::Task<Response> redeem_callback(queue::Client* client, proxy::Consents* consents,
                                      std::string token, uint64_t per_minute, WallTime wall);

}  // namespace egret::admin
