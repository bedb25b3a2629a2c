#include "proxy/admin/deliveries.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <time.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "policy/url.h"
#include "proxy/admin/query.h"

namespace egret::admin {
namespace {

using nlohmann::ordered_json;

constexpr uint32_t kMostOfAPage = 1000;

std::string rfc3339(WallTime time) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(static_cast<std::time_t>(ms / 1000)), ms % 1000);
}

// "2026-12-31T23:59:59Z", with or without a fraction, which is passed over.
std::optional<WallTime> parse_rfc3339(const std::string& written) {
  struct tm parts {};
  const char* rest = strptime(written.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  if (*rest == '.') {
    do ++rest;
    while (text::is_digit(*rest));
  }
  if (std::string_view(rest) != "Z") return std::nullopt;
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

template <typename Number>
bool parse_number(const std::string& written, Number& out) {
  const char* end = written.data() + written.size();
  const auto read = std::from_chars(written.data(), end, out);
  return read.ec == std::errc() && read.ptr == end && !written.empty();
}

Result<queue::Filter> filter_of(const std::string& query) {
  Result<Query> parsed =
      parse_query(query, {"status", "host", "sender", "since", "limit", "cursor"});
  if (!parsed) return Unexpected(std::move(parsed.error()));
  const auto bad = [](std::string why) {
    return Unexpected(Reason::header_invalid, std::move(why));
  };
  queue::Filter filter;
  for (const auto& [name, value] : *parsed) {
    if (name == "status") {
      filter.state = queue::parse_state(value);
      if (!filter.state) return bad("status is queued, running, delivered, dead or cancelled");
    } else if (name == "host") {
      filter.host = text::to_lower(value);
    } else if (name == "sender") {
      filter.sender = value;
    } else if (name == "since") {
      filter.since = parse_rfc3339(value);
      if (!filter.since) return bad("since is a time such as 2026-12-31T23:59:59Z");
    } else if (name == "limit") {
      if (!parse_number(value, filter.limit) || filter.limit < 1 || filter.limit > kMostOfAPage) {
        return bad("limit is a number from 1 to 1000");
      }
    } else if (!parse_number(value, filter.before) || filter.before < 0) {
      return bad("cursor is what the page before gave as next");
    }
  }
  return filter;
}

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
                       {"accepted", rfc3339(listed.accepted)}};
  if (listed.state == queue::State::queued) json["due"] = rfc3339(listed.due);
  if (listed.finished) json["finished"] = rfc3339(*listed.finished);
  return json;
}

ordered_json json_of(const queue::Attempt& attempt) {
  return {{"time", rfc3339(attempt.began)},   {"status", attempt.status},
          {"reason", attempt.reason},         {"detail", attempt.detail},
          {"address", attempt.address},       {"resolve_ms", attempt.resolve_ms},
          {"connect_ms", attempt.connect_ms}, {"tls_ms", attempt.tls_ms},
          {"wait_ms", attempt.wait_ms},       {"total_ms", attempt.total_ms},
          {"answer", attempt.answer}};
}

ordered_json only(const char* key, const ordered_json& value) {
  ordered_json json = ordered_json::object();
  json[key] = value;
  return json;
}

// An answer's first bytes need not be UTF-8.
Response as_json(const ordered_json& json, int status = 200) {
  return {.status = status,
          .content_type = "application/json",
          .content = json.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n",
          .fields = {}};
}

Response no_queue() { return plain(404, "nothing is kept: the configuration has no queue"); }
Response none_of_that_id() { return plain(404, "there is no delivery of that id (any more)"); }
Response failed(const Failure& failure) { return plain(status(failure.reason), failure.detail); }

}  // namespace

async::Task<Response> list_deliveries(queue::Client* client, std::string query) {
  if (client == nullptr) co_return no_queue();
  Result<queue::Filter> filter = filter_of(query);
  if (!filter) co_return failed(filter.error());
  Result<queue::Page> page = co_await client->list(std::move(*filter));
  if (!page) co_return failed(page.error());
  ordered_json json = {{"deliveries", ordered_json::array()}, {"next", nullptr}};
  for (const queue::Listed& each : page->deliveries) json["deliveries"].push_back(json_of(each));
  if (page->next) json["next"] = std::to_string(*page->next);
  co_return as_json(json);
}

async::Task<Response> show_delivery(queue::Client* client, std::string id) {
  if (client == nullptr) co_return no_queue();
  Result<std::optional<queue::Shown>> shown = co_await client->show(std::move(id));
  if (!shown) co_return failed(shown.error());
  if (!*shown) co_return none_of_that_id();
  ordered_json json = json_of((*shown)->delivery);
  json["tried"] = ordered_json::array();
  for (const queue::Attempt& each : (*shown)->attempts) json["tried"].push_back(json_of(each));
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
  const Result<std::optional<queue::State>> before = co_await client->replay(std::move(id));
  if (!before) co_return failed(before.error());
  if (!*before) co_return none_of_that_id();
  const bool waits = **before == queue::State::queued || **before == queue::State::running;
  if (waits) co_return plain(409, "it is queued already");
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

async::Task<Response> replay_deliveries(queue::Client* client, std::string query) {
  if (client == nullptr) co_return no_queue();
  Result<queue::Filter> filter = filter_of(query);
  if (!filter) co_return failed(filter.error());
  using queue::State;
  if (!filter->state) filter->state = State::dead;
  if (*filter->state == State::queued || *filter->state == State::running) {
    co_return plain(400, "status: only what is delivered, dead or cancelled can be replayed");
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
  co_return as_json(only("replayed", replayed));
}

async::Task<Response> list_endpoints(queue::Client* client, proxy::Destinations* destinations) {
  ordered_json json = {{"endpoints", ordered_json::array()}, {"breakers", ordered_json::array()}};
  if (client != nullptr) {
    const Result<std::vector<queue::Endpoint>> all = co_await client->endpoints();
    if (!all) co_return failed(all.error());
    for (const queue::Endpoint& each : *all) {
      ordered_json endpoint = only("host", each.host);
      endpoint["status"] = each.disabled ? "disabled" : "failing";
      if (each.failing_since) endpoint["failing_since"] = rfc3339(*each.failing_since);
      if (each.disabled) endpoint["disabled"] = rfc3339(*each.disabled);
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
  const Result<policy::Host> canonical = policy::canonical_host(host);
  if (!canonical) co_return plain(400, "host: " + canonical.error().detail);
  const size_t closed = destinations->close_breakers(canonical->text);
  bool was_off = false;
  if (client != nullptr) {
    std::string name = canonical->text;
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
  const Result<policy::Host> canonical = policy::canonical_host(host);
  if (!canonical) co_return plain(400, "host: " + canonical.error().detail);
  std::string name = canonical->text;
  std::string why = "by the operator";
  const Result<bool> disabled = co_await client->disable(std::move(name), std::move(why));
  if (!disabled) co_return failed(disabled.error());
  co_return as_json(only("status", "disabled"));
}

}  // namespace egret::admin
