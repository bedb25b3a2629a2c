#include "proxy/admin/endpoints.h"

#include <nlohmann/json.hpp>

#include "proxy/admin/json.h"
#include "proxy/admin/words.h"

namespace egret::admin {

using nlohmann::ordered_json;

async::Task<Response> list_endpoints(queue::Client* client, proxy::Destinations* destinations) {
  ordered_json json = {{"endpoints", ordered_json::array()}, {"breakers", ordered_json::array()}};
  if (client != nullptr) {
    const Result<std::vector<queue::Endpoint>> all = co_await client->endpoints();
    if (!all) co_return failed(all.error());
    for (const queue::Endpoint& each : *all) {
      ordered_json endpoint = only("host", each.host);
      if (!each.url.empty()) endpoint["url"] = each.url;
      endpoint["status"] = each.disabled ? "disabled" : "failing";
      if (each.failing_since) endpoint["failing_since"] = to_rfc3339(*each.failing_since);
      if (each.disabled) endpoint["disabled"] = to_rfc3339(*each.disabled);
      if (each.disabled) endpoint["why"] = each.why;
      json["endpoints"].push_back(std::move(endpoint));
    }
  }
  for (const proxy::Destinations::Open& each : destinations->open_breakers()) {
    ordered_json breaker = only("scheme", each.scheme);
    breaker["host"] = each.host;
    breaker["port"] = each.port;
    json["breakers"].push_back(std::move(breaker));
  }
  co_return as_json(json);
}

async::Task<Response> enable_endpoint(queue::Client* client, proxy::Destinations* destinations,
                                      std::string host) {
  const Result<std::string> canonical = parse_host_name(host);
  if (!canonical) co_return plain(400, canonical.error().detail);
  const size_t closed = destinations->close_breakers(*canonical);
  bool was_off = false;
  if (client != nullptr) {
    std::string name = *canonical;
    const Result<bool> enabled = co_await client->enable(std::move(name));
    if (!enabled) co_return failed(enabled.error());
    was_off = *enabled;
  }
  ordered_json json = only("status", "enabled");
  json["was_disabled"] = was_off;
  json["breakers_closed"] = closed;
  co_return as_json(json);
}

async::Task<Response> disable_endpoint(queue::Client* client, std::string host) {
  if (client == nullptr) co_return no_queue();
  const Result<std::string> canonical = parse_host_name(host);
  if (!canonical) co_return plain(400, canonical.error().detail);
  std::string name = *canonical;
  std::string why = "by the operator";
  const Result<bool> disabled = co_await client->disable(std::move(name), std::move(why));
  if (!disabled) co_return failed(disabled.error());
  co_return as_json(only("status", "disabled"));
}

}  // namespace egret::admin
