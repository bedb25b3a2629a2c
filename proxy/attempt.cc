#include "proxy/attempt.h"

#include <algorithm>
#include <cstring>

#include "policy/host_names.h"
#include "proxy/async/race.h"
#include "proxy/head_reader.h"
#include "proxy/http/forward.h"
#include "proxy/http/parser.h"
#include "proxy/via.h"

namespace egret::proxy {
namespace {

TimePoint now() { return async::Scheduler::current().now(); }

// A wait of at most `patience` that must not pass `total`.
Deadline within(Duration patience, Deadline total) {
  return std::min(deadline_after(now(), patience), total);
}

// A connection that broke: by a TLS alert, or by an errno.
Unexpected lost(const net::Stream& upstream, int error) {
  if (const Failure* trouble = upstream.trouble()) return Unexpected(*trouble);
  return Unexpected(Reason::connection_terminated, std::strerror(error));
}

Unexpected answer_failure(const HeadRead& read, const AnswerWait& wait, Deadline total) {
  using Outcome = HeadRead::Outcome;
  switch (read.outcome) {
    case Outcome::timed_out:
      return Unexpected(now() >= total ? Reason::total_timeout : Reason::response_timeout,
                        "no complete answer head in time");
    case Outcome::nothing:
      return Unexpected(Reason::connection_terminated, "closed without an answer");
    case Outcome::cut_short:
      return Unexpected(Reason::response_incomplete, "closed within the answer's head");
    case Outcome::too_large:
      return Unexpected(Reason::response_headers_too_large,
                        "the answer's head is over limits.headers (" +
                            std::to_string(wait.head_limit) + " bytes)");
    case Outcome::no_memory:
      return Unexpected(Reason::memory_limit, "the answer's head needs more of buffer_memory");
    case Outcome::malformed:
      return Unexpected(Reason::response_malformed, read.failure.detail);
    default:
      return lost(wait.upstream, read.error);
  }
}

async::Task<Result<>> pass_on_interim(net::Stream& sender, Answer& answer, Pace pace) {
  std::string head;
  http::append_interim(head, answer.head);
  iovec piece{head.data(), head.size()};
  const std::span<iovec> pieces(&piece, 1);
  const Deadline until = pace.next();
  const net::Io put = co_await sender.write_all(pieces, until);
  if (!put.ok()) co_return Unexpected(Reason::sender_disconnected, "while passing on a 1xx");
  co_return Result<>();
}

// What is over when the whole exchange's time is: the phase's own reason, or that of the whole.
Failure in_time(Failure failure, Deadline total) {
  const bool late = failure.reason == Reason::connection_timeout ||
                    failure.reason == Reason::tls_timeout || failure.reason == Reason::dns_timeout;
  if (late && now() >= total) failure.reason = Reason::total_timeout;
  return failure;
}

async::Task<Result<net::Connection>> connect_directly(Services& services, Route& route,
                                                      Record& record, Deadline total) {
  const TimePoint began = now();
  const Deadline deadline = within(route.rule.timeouts.connect, total);
  policy::PermittedAddresses addresses = route.addresses;
  const std::optional<policy::Address> source = route.way.settings.source;
  Result<net::Connection> made =
      co_await services.connector.connect(std::move(addresses), source, deadline);
  record.connect += now() - began;
  if (!made) co_return Unexpected(in_time(std::move(made.error()), total));
  co_return made;
}

// The parent proxy's addresses: the operator named it, so they need no verdict.
async::Task<Result<policy::PermittedAddresses>> locate_parent(Services& services,
                                                              std::shared_ptr<const Policy> policy,
                                                              Route& route, Record& record,
                                                              Deadline total) {
  const policy::Via& via = *route.way.settings.via;
  std::vector<policy::Address> addresses;
  if (via.host.literal) {
    addresses.push_back(*via.host.literal);
  } else if (policy::is_localhost(via.host)) {
    const auto local = policy::localhost_addresses(via.host);
    addresses.assign(local.begin(), local.end());
  } else {
    const TimePoint began = now();
    const Deadline deadline = within(route.rule.timeouts.resolve, total);
    const std::shared_ptr<net::CachingResolver> resolver = services.resolver;
    std::string name = via.host.text;
    Result<net::Answer> answer = co_await resolver->resolve(std::move(name), deadline);
    record.resolve += now() - began;
    if (!answer) co_return Unexpected(std::move(answer.error()));
    addresses = std::move(answer->addresses);
  }
  co_return policy->judge.permit_parent(via, addresses);
}

Failure parent_failure(const policy::Via& via, const Failure& failure, Deadline total) {
  const bool late = in_time(failure, total).reason == Reason::total_timeout;
  return {late ? Reason::total_timeout : Reason::parent_proxy_failed,
          "The parent proxy " + via.host.to_authority() + ":" + std::to_string(via.port) + ": " +
              failure.detail};
}

async::Task<Result<net::Connection>> connect_by_parent(Services& services,
                                                       std::shared_ptr<const Policy> policy,
                                                       Route& route, Record& record,
                                                       Deadline total) {
  const policy::Via& via = *route.way.settings.via;
  Result<policy::PermittedAddresses> parents =
      co_await locate_parent(services, policy, route, record, total);
  if (!parents) co_return Unexpected(parent_failure(via, parents.error(), total));
  const TimePoint began = now();
  const Deadline deadline = within(route.rule.timeouts.connect, total);
  const std::optional<policy::Address> source = route.way.settings.source;
  Result<net::Connection> made =
      co_await services.connector.connect(std::move(*parents), source, deadline);
  record.connect += now() - began;
  if (!made) co_return Unexpected(parent_failure(via, made.error(), total));
  const TimePoint asked = now();
  const policy::Endpoint& judged = route.addresses.front().endpoint();
  const bool by_name = via.ask == policy::Via::Ask::name;
  std::string authority =
      by_name ? policy::Authority{route.host, route.port}.to_string() : judged.to_string();
  const Deadline answered = within(route.rule.timeouts.tls, total);
  net::Stream& stream = *made->stream;
  Secret authorization = via.authorization;
  Result<> through = co_await connect_through(stream, std::move(authority),
                                              std::move(authorization), services.buffers, answered);
  record.tls += now() - asked;
  if (!through) co_return Unexpected(in_time(std::move(through.error()), total));
  // What it leads to, which is what was judged.
  made->peer = judged;
  co_return made;
}

// TLS over a connection that was made.
async::Task<Result<>> secure(Services& services, Route& route, net::Connection& connection,
                             Record& record, Deadline total) {
  const TimePoint began = now();
  const Deadline deadline = within(route.rule.timeouts.tls, total);
  std::unique_ptr<tls::TlsStream> stream =
      route.way.tls->connect(std::move(connection.stream), route.host, route.port);
  std::string peer = route.host.text;
  Result<> done = co_await stream->handshake(std::move(peer), deadline);
  record.tls += now() - began;
  if (!done) co_return Unexpected(in_time(std::move(done.error()), total));
  ++(stream->resumed() ? services.metrics.tls_resumed : services.metrics.tls_full);
  connection.stream = std::move(stream);
  co_return Result<>();
}

// By the rule of the target, and by that of the request which was redirected there: what another
// rule may reach is not lent to whoever redirects.
Result<policy::PermittedAddresses> permit(const policy::Judge& judge, const Target& target,
                                          std::span<const policy::Address> candidates) {
  Result<policy::PermittedAddresses> permitted = judge.permit(target.rule, target.port, candidates);
  if (!permitted || target.first == nullptr || target.first == &target.rule) return permitted;
  std::vector<policy::Address> left;
  for (const policy::PermittedAddress& each : *permitted) left.push_back(each.endpoint().address);
  return judge.permit(*target.first, target.port, left);
}

}  // namespace

std::optional<Result<policy::PermittedAddresses>> locate_now(Services& services,
                                                             const Policy& policy,
                                                             const Target& target) {
  const policy::Judge& judge = policy.judge;
  if (target.host.literal) {
    return permit(judge, target, {&*target.host.literal, 1});
  }
  const auto local = policy::localhost_addresses(target.host);
  if (!local.empty()) return permit(judge, target, local);
  const Result<net::Answer>* known = services.resolver->peek(target.host.text);
  if (known == nullptr) return std::nullopt;
  if (!*known) return Result<policy::PermittedAddresses>(Unexpected(known->error()));
  return permit(judge, target, (*known)->addresses);
}

async::Task<Result<policy::PermittedAddresses>> locate(Services& services,
                                                       std::shared_ptr<const Policy> policy,
                                                       Target target, Record& record,
                                                       Deadline total) {
  const TimePoint began = now();
  const Deadline deadline = within(target.rule.timeouts.resolve, total);
  std::string name = target.host.text;
  const std::shared_ptr<net::CachingResolver> resolver = services.resolver;
  Result<net::Answer> answer = co_await resolver->resolve(std::move(name), deadline);
  record.resolve += now() - began;
  if (!answer && answer.error().reason == Reason::dns_timeout && now() >= total) {
    co_return Unexpected(Reason::total_timeout, "while resolving " + target.host.text);
  }
  if (!answer) co_return Unexpected(std::move(answer.error()));
  co_return permit(policy->judge, target, answer->addresses);
}

Route Route::make(const Policy& policy, const policy::Rule& rule, const policy::Url& url, bool tls,
                  std::string_view sender, policy::PermittedAddresses addresses) {
  const ReadyWay& way = policy.way(rule);
  const bool by_name = way.settings.via && way.settings.via->ask == policy::Via::Ask::name;
  Route route{rule, way, url.host, url.port, tls, std::move(addresses), {&way, tls, {}, {}}};
  if (tls || by_name) route.lane.name = url.host.text;
  if (tls && way.tls->presents_certificate()) route.lane.sender = sender;
  return route;
}

std::optional<Upstream> take_idle(Services& services, const Route& route, Record& record) {
  std::optional<Upstream> idle = services.pool.take(route.addresses, route.lane);
  if (idle) {
    ++services.metrics.upstream_reused;
    record.address = idle->connection.peer;
  }
  return idle;
}

async::Task<Result<Upstream>> open(Services& services, std::shared_ptr<const Policy> policy,
                                   Route& route, Record& record, Deadline total) {
  Result<net::Connection> made = Unexpected(Reason::internal_error, "");
  if (route.way.settings.via) {
    made = co_await connect_by_parent(services, policy, route, record, total);
  } else {
    made = co_await connect_directly(services, route, record, total);
  }
  if (!made) co_return Unexpected(std::move(made.error()));
  ++services.metrics.upstream_opened;
  record.address = made->peer;
  if (route.tls) {
    Result<> secured = co_await secure(services, route, *made, record, total);
    if (!secured) co_return Unexpected(std::move(secured.error()));
  }
  co_return Upstream{std::move(*made), false};
}

async::Task<Result<>> await_answer(Services& services, AnswerWait& wait, Answer& answer) {
  const Deadline deadline = within(wait.patience, wait.total);
  for (int interim = 0; interim <= kMostInterim; ++interim) {
    if (answer.buffer.capacity() == 0) {
      // No buffer is held while the destination thinks.
      co_await wait.upstream.readable(deadline);
      answer.buffer = services.buffers.take();
      const net::Io first = wait.upstream.read_now(answer.buffer.space());
      if (first.status == net::Io::Status::failed) {
        co_return lost(wait.upstream, first.error);
      }
      answer.buffer.commit(first.bytes);
    }
    std::optional<HeadRead> at_hand = head_at_hand(answer.buffer, HeadOf::answer, wait.head_limit);
    if (!at_hand) {
      at_hand = co_await read_head(wait.upstream, answer.buffer, HeadOf::answer, wait.head_limit,
                                   deadline);
    }
    const HeadRead& read = *at_hand;
    wait.anything |= !answer.buffer.empty();
    if (read.outcome != HeadRead::Outcome::complete) {
      co_return answer_failure(read, wait, wait.total);
    }
    answer.head_size = read.size;
    const std::string_view bytes = answer.buffer.view().substr(0, read.size);
    Result<> parsed = http::parse_found_response(bytes, wait.method, answer.head);
    if (!parsed) co_return Unexpected(std::move(parsed.error()));
    if (answer.head.status >= 200) co_return Result<>();
    if (answer.head.status == 101) {
      co_return Unexpected(Reason::response_upgrade_unasked, "101 without an Upgrade");
    }
    if (answer.head.status != 100 && wait.sender != nullptr) {
      const Pace pace{.total = deadline};
      Result<> passed = co_await pass_on_interim(*wait.sender, answer, pace);
      if (!passed) co_return passed;
    }
    answer.buffer.consume(answer.head_size);
  }
  co_return Unexpected(Reason::response_malformed,
                       "more than " + std::to_string(kMostInterim) + " interim answers");
}

}  // namespace egret::proxy
