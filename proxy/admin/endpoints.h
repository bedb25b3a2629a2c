#pragma once

#include <string>

#include "proxy/admin/response.h"
#include "proxy/destinations.h"
#include "proxy/queue/client.h"

namespace egret::admin {

// /v1/endpoints…: hosts that fail or are switched off, and open breakers.
async::Task<Response> list_endpoints(queue::Client* client, proxy::Destinations* destinations);
async::Task<Response> enable_endpoint(queue::Client* client, proxy::Destinations* destinations,
                                      std::string host);
async::Task<Response> disable_endpoint(queue::Client* client, std::string host);

}  // namespace egret::admin
