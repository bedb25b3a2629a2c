#pragma once

#include <string>
#include <string_view>

#include "proxy/admin/response.h"
#include "proxy/destinations.h"
#include "proxy/queue/client.h"

namespace egret::admin {

// /v1/deliveries…: what the queue holds, for the operator. `client` is null where nothing is kept.
// `query`: what stands behind "?".
async::Task<Response> list_deliveries(queue::Client* client, std::string query);
async::Task<Response> show_delivery(queue::Client* client, std::string id);
async::Task<Response> show_content(queue::Client* client, std::string id);
async::Task<Response> replay_delivery(queue::Client* client, std::string id);
async::Task<Response> cancel_delivery(queue::Client* client, std::string id);
// Those that a filter finds, the dead ones unless it says otherwise.
async::Task<Response> replay_deliveries(queue::Client* client, std::string query);

// /v1/endpoints…: hosts that fail or are switched off, and open breakers.
async::Task<Response> list_endpoints(queue::Client* client, proxy::Destinations* destinations);
async::Task<Response> enable_endpoint(queue::Client* client, proxy::Destinations* destinations,
                                      std::string host);
async::Task<Response> disable_endpoint(queue::Client* client, std::string host);

}  // namespace egret::admin
