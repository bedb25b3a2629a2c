#include "proxy/admin/deliveries.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "policy/url.h"
#include "proxy/admin/filter.h"
#include "proxy/admin/json.h"
#include "proxy/admin/words.h"

namespace egret::admin {
namespace {

using nlohmann::ordered_json;

ordered_json json_of(const queue::Listed& listed) {
  ordered_json json = {{"id", listed.id},
                       {"status", queue::to_string(listed.state)},
                       {"webhook_id", listed.webhook_id},
                       {"sender", listed.sender},
                       {"rule", listed.rule},
                       {"method", listed.method},
                       {"destination", listed.destination},
                       {"size", listed.size},
                       {"attempts", listed.attempts},
                       {"accepted", to_rfc3339(listed.accepted)}};
  if (listed.state == queue::State::queued) json["due"] = to_rfc3339(listed.due);
  if (listed.finished) json["finished"] = to_rfc3339(*listed.finished);
  return json;
}

ordered_json json_of(const queue::Attempt& attempt, Answers answers) {
  ordered_json json = {{"time", to_rfc3339(attempt.began)}, {"status", attempt.status},
                       {"reason", attempt.reason},          {"detail", attempt.detail},
                       {"address", attempt.address},        {"resolve_ms", attempt.resolve_ms},
                       {"connect_ms", attempt.connect_ms},  {"tls_ms", attempt.tls_ms},
                       {"wait_ms", attempt.wait_ms},        {"total_ms", attempt.total_ms}};
  if (answers == Answers::shown) json["answer"] = attempt.answer;
  return json;
}

ordered_json page_of(const queue::Page& page) {
  ordered_json json = {{"deliveries", ordered_json::array()}, {"next", nullptr}};
  for (const queue::Listed& each : page.deliveries) json["deliveries"].push_back(json_of(each));
  if (page.next) json["next"] = std::to_string(*page.next);
  return json;
}

// What to say of a sender that the configuration does not have: a name that is wrong finds nothing.
void hint_at(const std::string& sender, const config::Settings& settings, ordered_json& json) {
  if (sender.empty() || settings.senders.named(sender) != nullptr) return;
  json["hint"] = "the configuration has no sender " + text::printable(sender, 64);
}

// The host or URL that a delivery is for, when it is switched off.
async::Task<Result<std::optional<queue::Endpoint>>> switched_off(queue::Client* client,
                                                                 std::string destination) {
  const Result<policy::Url> url = policy::parse_url(destination);
  if (!url) co_return std::nullopt;
  Result<std::vector<queue::Endpoint>> all = co_await client->endpoints();
  if (!all) co_return Unexpected(std::move(all.error()));
  for (queue::Endpoint& each : *all) {
    const bool is_it = each.url.empty() ? each.host == url->host.text : each.url == destination;
    if (each.disabled && is_it) co_return std::move(each);
  }
  co_return std::nullopt;
}

std::string switched_off_text(const queue::Endpoint& endpoint) {
  const std::string what = endpoint.url.empty() ? "the host " + endpoint.host : endpoint.url;
  return what + " is switched off (" + endpoint.why +
         "): switch it on first, by POST /v1/endpoints/" + endpoint.host +
         "/enable or egret endpoints enable";
}

// Why it cannot be replayed now, or nothing.
std::optional<std::string> waits_already(const queue::Listed& delivery) {
  if (delivery.state == queue::State::running)
    return "an attempt at it is under way, or about to be";
  if (delivery.state != queue::State::queued) return std::nullopt;
  return "it is queued already, due at " + to_rfc3339(delivery.due) +
         "; to try it now, cancel it and then replay it";
}

// A request without a filter, as an empty variable in a script makes one, does not mean all.
bool says_which(const queue::Filter& filter) {
  return filter.state || !filter.host.empty() || !filter.sender.empty() || filter.since;
}

Response none_of_that_id() { return plain(404, "there is no delivery of that id (any more)"); }

}  // namespace

async::Task<Response> list_deliveries(queue::Client* client,
                                      std::shared_ptr<const config::Settings> settings,
                                      std::string query) {
  if (client == nullptr) co_return no_queue();
  Result<queue::Filter> filter = parse_filter(query);
  if (!filter) co_return failed(filter.error());
  const std::string sender = filter->sender;
  Result<queue::Page> page = co_await client->list(std::move(*filter));
  if (!page) co_return failed(page.error());
  ordered_json json = page_of(*page);
  if (page->deliveries.empty()) hint_at(sender, *settings, json);
  co_return as_json(json);
}

async::Task<Response> show_delivery(queue::Client* client, std::string id, Answers answers) {
  if (client == nullptr) co_return no_queue();
  Result<std::optional<queue::Shown>> shown = co_await client->show(std::move(id));
  if (!shown) co_return failed(shown.error());
  if (!*shown) co_return none_of_that_id();
  const queue::Listed& delivery = (*shown)->delivery;
  ordered_json json = json_of(delivery);
  if (delivery.state == queue::State::dead) {
    std::string destination = delivery.destination;
    const Result<std::optional<queue::Endpoint>> off =
        co_await switched_off(client, std::move(destination));
    if (!off) co_return failed(off.error());
    if (*off) json["switched_off"] = (*off)->why;
  }
  json["tried"] = ordered_json::array();
  for (const queue::Attempt& each : (*shown)->attempts) {
    json["tried"].push_back(json_of(each, answers));
  }
  co_return as_json(json);
}

async::Task<Response> show_content(queue::Client* client, std::string id) {
  if (client == nullptr) co_return no_queue();
  Result<std::optional<queue::Content>> content = co_await client->content(std::move(id));
  if (!content) co_return failed(content.error());
  if (!*content) co_return none_of_that_id();
  ordered_json json = ordered_json::object();
  json["head"] = (*content)->head;
  json["body"] = text::base64((*content)->body);
  co_return as_json(json);
}

async::Task<Response> replay_delivery(queue::Client* client, std::string id) {
  if (client == nullptr) co_return no_queue();
  std::string same = id;
  const Result<std::optional<queue::Shown>> shown = co_await client->show(std::move(same));
  if (!shown) co_return failed(shown.error());
  if (!*shown) co_return none_of_that_id();
  const std::optional<std::string> waits = waits_already((*shown)->delivery);
  if (waits) co_return plain(409, *waits);
  std::string destination = (*shown)->delivery.destination;
  const Result<std::optional<queue::Endpoint>> off =
      co_await switched_off(client, std::move(destination));
  if (!off) co_return failed(off.error());
  if (*off) co_return plain(409, switched_off_text(**off));
  const Result<std::optional<queue::State>> before = co_await client->replay(std::move(id));
  if (!before) co_return failed(before.error());
  if (!*before) co_return none_of_that_id();
  const bool meanwhile = **before == queue::State::queued || **before == queue::State::running;
  if (meanwhile) co_return plain(409, "it is queued already");
  co_return as_json(only("status", "queued"));
}

async::Task<Response> cancel_delivery(queue::Client* client, std::string id) {
  if (client == nullptr) co_return no_queue();
  const Result<std::optional<queue::State>> before = co_await client->cancel(std::move(id));
  if (!before) co_return failed(before.error());
  if (!*before) co_return none_of_that_id();
  if (**before != queue::State::queued) {
    co_return plain(409, "it is " + std::string(queue::to_string(**before)) +
                             ": only what is queued can be cancelled");
  }
  co_return as_json(only("status", "cancelled"));
}

async::Task<Response> replay_deliveries(queue::Client* client,
                                        std::shared_ptr<const config::Settings> settings,
                                        std::string query) {
  if (client == nullptr) co_return no_queue();
  Result<queue::Filter> filter = parse_filter(query);
  if (!filter) co_return failed(filter.error());
  if (!says_which(*filter)) {
    co_return plain(400, "say which: status, host, sender or since; ?status=dead is all dead ones");
  }
  using queue::State;
  if (!filter->state) filter->state = State::dead;
  if (*filter->state == State::queued || *filter->state == State::running) {
    co_return plain(400, "status: only what is delivered, dead or cancelled can be replayed");
  }
  const Result<std::vector<queue::Endpoint>> endpoints = co_await client->endpoints();
  if (!endpoints) co_return failed(endpoints.error());
  uint64_t switched_off = 0;
  for (const queue::Endpoint& each : *endpoints) {
    if (!each.disabled) continue;
    if (each.url.empty() && each.host == filter->host)
      co_return plain(409, switched_off_text(each));
    ++switched_off;
  }
  uint64_t replayed = 0;
  filter->limit = kMostOfAPage;
  while (true) {
    queue::Filter page = *filter;
    const Result<queue::Replayed> some = co_await client->replay_page(std::move(page));
    if (!some) co_return failed(some.error());
    replayed += some->count;
    if (!some->next) break;
    filter->before = *some->next;
  }
  ordered_json json = only("replayed", replayed);
  if (replayed == 0) hint_at(filter->sender, *settings, json);
  if (replayed != 0 && switched_off != 0) json["switched_off"] = switched_off;
  co_return as_json(json);
}

}  // namespace egret::admin
