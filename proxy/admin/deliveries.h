#pragma once

#include <memory>
#include <string>

#include "config/settings.h"
#include "proxy/admin/response.h"
#include "proxy/queue/client.h"

namespace egret::admin {

// Whether the first bytes of what destinations answered are told: some answer with what they were
// sent, secrets too.
enum class Answers : uint8_t { hidden, shown };

// /v1/deliveries…: what the queue holds, for the operator. `client` is null where nothing is kept.
// `query`: what stands behind "?". `settings`: those in force, whose senders are known by name.
async::Task<Response> list_deliveries(queue::Client* client,
                                      std::shared_ptr<const config::Settings> settings,
                                      std::string query);
async::Task<Response> show_delivery(queue::Client* client, std::string id, Answers answers);
async::Task<Response> show_content(queue::Client* client, std::string id);
// 409 when it waits already, and when its host is switched off.
async::Task<Response> replay_delivery(queue::Client* client, std::string id);
async::Task<Response> cancel_delivery(queue::Client* client, std::string id);
// Those that a filter finds, the dead ones unless it says otherwise.
async::Task<Response> replay_deliveries(queue::Client* client,
                                        std::shared_ptr<const config::Settings> settings,
                                        std::string query);

}  // namespace egret::admin
