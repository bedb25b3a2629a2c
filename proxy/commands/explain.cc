#include "proxy/commands/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "config/load.h"
#include "proxy/async/loop.h"
#include "proxy/async/task_set.h"
#include "proxy/commands/check.h"
#include "proxy/net/ares_resolver.h"
#include "proxy/net/resolver_cache.h"
#include "proxy/own_listeners.h"

namespace egret::commands {
namespace {

using policy::Trace;

constexpr size_t kAtOnce = 64;  // names asked at the same time when many URLs are piped in

struct Explained {
  std::string url;
  std::optional<Failure> refusal;
  std::string rule;
  Trace steps;

  [[nodiscard]] std::string_view verdict() const {
    return refusal ? refusal_word(refusal->reason) : "allowed";
  }
  [[nodiscard]] int exit_code() const { return !refusal ? 0 : verdict() == "unresolved" ? 4 : 3; }
};

// What a URL, or CONNECT's host:port, asks for.
struct Wanted {
  bool connect = false;
  policy::Url url;
};

std::string kept_text(const policy::Delivery& delivery) {
  using Mode = policy::DeliveryMode;
  const std::string_view when = delivery.mode == Mode::async ? "at once"
                                : delivery.mode == Mode::on_request
                                    ? "when the sender prefers it"
                                    : "when it could not be delivered";
  return fmt::format("kept {}, answered with 202; at most {} attempts", when,
                     delivery.schedule.size() + 1);
}

// What Egret does with a request beside keeping it and sending it once, where the rule says so.
void explain_on_behalf(const policy::Rule& rule, policy::Trace& steps) {
  using policy::Follow;
  if (!rule.sign.empty()) {
    steps.push_back({"sign", "ok", fmt::format("by {}", fmt::join(rule.sign, ", "))});
  }
  if (rule.redirects.follow != Follow::never) {
    const std::string_view where = rule.redirects.follow == Follow::any ? "anywhere"
                                   : rule.redirects.follow == Follow::same_host
                                       ? "to the same host"
                                       : "within the origin";
    steps.push_back({"redirect", "ok",
                     fmt::format("followed {}, at most {}; each hop is judged anew", where,
                                 rule.redirects.max)});
  }
  if (rule.rate.every > Duration::zero()) {
    steps.push_back(
        {"rate", "ok",
         fmt::format("one each {} ms, {} at once",
                     std::chrono::ceil<std::chrono::milliseconds>(rule.rate.every).count(),
                     rule.rate.burst)});
  }
  if (rule.consent.asks()) {
    const bool webhook = rule.consent.scheme == policy::ConsentScheme::cloudevents;
    steps.push_back(
        {"consent", "ok",
         fmt::format("over one each {} ms, {} at once, the destination must have agreed ({})",
                     std::chrono::ceil<std::chrono::milliseconds>(rule.consent.above.every).count(),
                     rule.consent.above.burst, webhook ? "cloudevents" : "challenge")});
  }
  if (rule.retry.attempts > 1) {
    steps.push_back({"retry", "ok", fmt::format("at most {} attempts", rule.retry.attempts)});
  }
}

class Explainer {
 public:
  Explainer(const config::Settings& settings, const ExplainOptions& options)
      : settings_(settings),
        options_(options),
        judge_(settings.judge(own(settings))),
        loop_(clock_) {}

  // In the order of `urls`.
  std::vector<Explained> explain(const std::vector<std::string>& urls) {
    std::vector<Explained> all(urls.size());
    async::TaskSet tasks;
    for (size_t i = 0; i < urls.size(); ++i) {
      all[i].url = urls[i];
      tasks.spawn(explain_one(all[i]));
    }
    while (tasks.size() > 0) loop_.turn(loop_.scheduler().ready().empty());
    return all;
  }

 private:
  static std::vector<policy::Endpoint> own(const config::Settings& settings) {
    std::vector<policy::Endpoint> own;
    for (const config::Listener& listener : settings.listeners) {
      if (listener.address.endpoint) proxy::add_own(own, *listener.address.endpoint);
    }
    if (settings.admin.address.endpoint) proxy::add_own(own, *settings.admin.address.endpoint);
    return own;
  }

  async::Task<void> explain_one(Explained& explained) {
    const Result<Wanted> wanted = parse(explained);
    if (!wanted) {
      explained.refusal = wanted.error();
      co_return;
    }
    if (options_.sender.empty() && !settings_.senders.all().empty()) {
      explained.steps.push_back({"sender", "skipped",
                                 "no --sender is given; who is none of the senders is refused, "
                                 "with 407 where credentials would help"});
    }
    const policy::Host& host = wanted->url.host;
    const policy::Ask ask{.sender = options_.sender,
                          .method = options_.method,
                          .connect = wanted->connect,
                          .scheme = wanted->url.scheme,
                          .host = &host,
                          .port = wanted->url.port,
                          .path = wanted->url.path};
    policy::Verdict verdict = judge_.judge(ask, &explained.steps);
    explained.rule = verdict.rule->name;
    explained.refusal = std::move(verdict.refusal);
    if (explained.refusal) co_return;
    std::vector<policy::Address> addresses = known_addresses(host);
    if (addresses.empty()) {
      const Deadline deadline =
          deadline_after(async::Scheduler::current().now(), verdict.rule->timeouts.resolve);
      Result<net::Answer> answer = co_await resolver().resolve(host.text, deadline);
      add_answer(explained, host, answer);
      if (!answer) co_return;
      addresses = std::move(answer->addresses);
    }
    const Result<policy::PermittedAddresses> permitted =
        judge_.permit(*verdict.rule, verdict.port, addresses, &explained.steps);
    if (!permitted) {
      explained.refusal = permitted.error();
      co_return;
    }
    add_way(explained, *verdict.rule);
    add_queue(explained, ask, *verdict.rule);
  }

  Result<Wanted> parse(Explained& explained) {
    Wanted wanted;
    wanted.connect = options_.method == "CONNECT";
    Result<> parsed;
    if (wanted.connect) {
      Result<policy::Authority> authority = policy::parse_authority(explained.url);
      if (!authority) parsed = Unexpected(authority.error());
      if (authority) wanted.url.host = authority->host;
      if (authority) wanted.url.port = authority->port;
    } else {
      Result<policy::Url> url = policy::parse_url(explained.url, policy::Fragment::drop);
      if (!url) parsed = Unexpected(url.error());
      if (url) wanted.url = std::move(*url);
    }
    const std::string canonical =
        wanted.connect ? wanted.url.authority().to_string() : wanted.url.for_log();
    explained.steps.push_back(
        {"url", parsed ? "ok" : "denied", parsed ? "read as " + canonical : parsed.error().detail});
    if (!parsed) return Unexpected(std::move(parsed.error()));
    return wanted;
  }

  // What the operator may not expect: another machine makes the connection.
  static void add_way(Explained& explained, const policy::Rule& rule) {
    if (const std::optional<policy::Via>& via = rule.way.via) {
      const bool by_name = via->ask == policy::Via::Ask::name;
      explained.steps.push_back({"via", "ok",
                                 "through the parent proxy " + via->host.to_authority() + ":" +
                                     std::to_string(via->port) + ", asked for the " +
                                     (by_name ? "name" : "address")});
    }
    if (rule.way.source) {
      explained.steps.push_back({"source", "ok", "from " + rule.way.source->to_string()});
    }
    explain_on_behalf(rule, explained.steps);
  }

  // Most senders reach an https URL by CONNECT, which another rule may take.
  void add_queue(Explained& explained, const policy::Ask& ask, const policy::Rule& rule) const {
    if (rule.delivery.mode == policy::DeliveryMode::sync) return;
    if (!ask.connect) explained.steps.push_back({"queue", "ok", kept_text(rule.delivery)});
    if (!ask.connect && ask.scheme != policy::Scheme::https) return;
    policy::Ask tunnel = ask;
    tunnel.connect = true;
    tunnel.method = "CONNECT";
    tunnel.path = "";
    const policy::Verdict verdict = judge_.judge(tunnel);
    if (verdict.refusal || verdict.rule->connect == policy::ConnectMode::intercept) return;
    explained.steps.push_back(
        {"queue", "skipped",
         "in a CONNECT tunnel, which HTTPS_PROXY makes, nothing is kept; send http with "
         "Egret-Scheme: https, or to a rule with scheme: https, or set connect: intercept"});
  }

  static std::vector<policy::Address> known_addresses(const policy::Host& host) {
    if (host.literal) return {*host.literal};
    const auto local = policy::localhost_addresses(host);
    return {local.begin(), local.end()};
  }

  static void add_answer(Explained& explained, const policy::Host& host,
                         const Result<net::Answer>& answer) {
    std::string found;
    if (answer) {
      for (const policy::Address& address : answer->addresses) {
        found += (found.empty() ? "" : ", ") + address.to_string();
      }
      found = host.text + " has " + found;
    } else {
      found = answer.error().detail;
      explained.refusal = answer.error();
    }
    explained.steps.push_back({"resolve", answer ? "ok" : "denied", found});
  }

  // Made when the first name is to be asked: literals need no name servers.
  net::Resolver& resolver() {
    if (!resolver_) {
      const config::Resolver& from = settings_.resolver;
      upstream_ = std::make_unique<net::AresResolver>(
          loop_, net::AresOptions{.servers = from.servers,
                                  .timeout = from.timeout,
                                  .tries = from.tries,
                                  .hosts_file = from.hosts_file});
      resolver_ = std::make_unique<net::CachingResolver>(
          *upstream_, net::CacheLimits{.entries = from.cache_entries,
                                       .min_ttl = from.min_ttl,
                                       .max_ttl = from.max_ttl,
                                       .negative_ttl = from.negative_ttl});
    }
    return *resolver_;
  }

  const config::Settings& settings_;
  const ExplainOptions& options_;
  const policy::Judge judge_;
  SystemClock clock_;
  async::Loop loop_;
  std::unique_ptr<net::AresResolver> upstream_;
  std::unique_ptr<net::CachingResolver> resolver_;
};

std::string to_json(const Explained& explained) {
  nlohmann::ordered_json json;
  json["url"] = explained.url;
  json["verdict"] = explained.verdict();
  json["status"] = explained.refusal ? status(explained.refusal->reason) : 200;
  json["reason"] = explained.refusal ? name(explained.refusal->reason) : "";
  json["rule"] = explained.rule;
  json["steps"] = nlohmann::ordered_json::array();
  for (const policy::Step& step : explained.steps) {
    json["steps"].push_back(
        {{"step", step.name}, {"outcome", step.outcome}, {"detail", step.detail}});
  }
  // Bytes that are not UTF-8 become U+FFFD: what is piped in may be anything.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string to_text(const Explained& explained) {
  std::string out = std::string(explained.verdict()) + ": " + text::printable(explained.url, 400);
  if (explained.refusal) {
    out += fmt::format("\n  {} {}", status(explained.refusal->reason),
                       name(explained.refusal->reason));
  }
  for (const policy::Step& step : explained.steps) {
    out += fmt::format("\n  {:8} {:8} {}", step.name, step.outcome, step.detail);
  }
  return out;
}

// Denied is worse than unresolved, which is worse than allowed.
int worse(int a, int b) { return a == 3 || b == 3 ? 3 : std::max(a, b); }

int print(const std::vector<Explained>& all, bool json) {
  int worst = 0;
  for (const Explained& explained : all) {
    std::cout << (json ? to_json(explained) : to_text(explained)) << "\n";
    worst = worse(worst, explained.exit_code());
  }
  std::cout.flush();
  return worst;
}

// Answers each line as soon as it is read; lines that are there already are resolved together.
int explain_lines(Explainer& explainer) {
  std::ios::sync_with_stdio(false);
  int worst = 0;
  std::string line;
  std::vector<std::string> batch;
  while (std::getline(std::cin, line)) {
    batch.push_back(line);
    if (batch.size() < kAtOnce && std::cin.rdbuf()->in_avail() > 0) continue;
    worst = worse(worst, print(explainer.explain(batch), true));
    batch.clear();
  }
  return batch.empty() ? worst : worse(worst, print(explainer.explain(batch), true));
}

}  // namespace

int explain(const ExplainOptions& options) {
  const auto settings = load(options.config).settings;
  if (!settings) return 2;
  const auto& senders = settings->senders.all();
  const bool known =
      options.sender.empty() || std::ranges::any_of(senders, [&](const policy::Sender& sender) {
        return sender.name == options.sender;
      });
  if (!known) {
    std::cerr << "egret: no sender is named \"" << options.sender << "\" in the configuration\n";
    return 2;
  }
  try {
    Explainer explainer(*settings, options);
    if (options.url == "-") return explain_lines(explainer);
    return print(explainer.explain({options.url}), options.json);
  } catch (const std::exception& error) {
    std::cerr << "egret: " << error.what() << "\n";
    return 2;
  }
}

}  // namespace egret::commands
