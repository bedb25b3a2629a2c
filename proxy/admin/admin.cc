#include "proxy/admin/admin.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <future>
#include <memory>

#include "base/text.h"
#include "policy/url.h"
#include "proxy/admin/consent.h"
#include "proxy/admin/deliveries.h"
#include "proxy/admin/endpoints.h"
#include "proxy/admin/keys.h"
#include "proxy/admin/response.h"
#include "proxy/admin/routes.h"
#include "proxy/async/mailbox.h"
#include "proxy/async/task_set.h"
#include "proxy/head_reader.h"
#include "proxy/http/parser.h"
#include "proxy/net/socket.h"
#include "proxy/reply.h"

namespace egret::embedded {
extern const std::string_view kOpenapiJson;
}

namespace egret::admin {
namespace {

constexpr size_t kHeadLimit = 16 * 1024;
constexpr size_t kMostConnections = 64;
constexpr Duration kPatience = std::chrono::seconds(10);  // for a request, and to take the answer
constexpr Duration kWorkerPatience = std::chrono::seconds(1);

std::string to_bytes(const Response& response, bool keep_alive, bool with_content) {
  std::string out = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\n{}{}\r\n",
      response.status, proxy::reason_phrase(response.status), response.content_type,
      response.content.size(), response.fields, keep_alive ? "" : "Connection: close\r\n");
  if (with_content) out += response.content;
  return out;
}

// What a worker's thread hands over to this one's loop.
struct Collected {
  async::Event came;
  proxy::Metrics metrics;
};

}  // namespace

class Admin::Inside {
 public:
  Inside(async::Loop& loop, net::ListenSocket socket, std::optional<Secret> token, Gateway& gateway)
      : loop_(loop),
        mailbox_(std::make_shared<async::Mailbox>(loop)),
        gateway_(gateway),
        token_(std::move(token)),
        acceptor_(loop, std::move(socket)) {
    if (queue::Queue* queue = gateway.queue()) client_.emplace(*queue, mailbox_.shared());
    accepting_.spawn(accept());
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  void set_token(std::optional<Secret> token) { token_ = std::move(token); }

 private:
  async::Task<void> accept() {
    while (true) {
      net::Accepted accepted = co_await acceptor_.accept();
      // Whoever came first has had its time: silent connections must not keep health checks out.
      if (connections_.size() >= kMostConnections) connections_.cancel_oldest();
      try {
        auto stream = std::make_unique<net::SocketStream>(loop_, std::move(accepted.fd));
        connections_.spawn(serve(std::move(stream)));
      } catch (const std::exception&) {
        continue;  // out of memory or watches: this one is lost, the next not
      }
    }
  }

  async::Task<void> serve(std::unique_ptr<net::Stream> stream) {
    proxy::Buffer in = buffers_.take();
    bool keep = true;
    while (keep) {
      keep = co_await serve_one(*stream, in);
    }
  }

  async::Task<bool> serve_one(net::Stream& stream, proxy::Buffer& in) {
    const Deadline until = deadline_after(async::Scheduler::current().now(), kPatience);
    const proxy::HeadRead read =
        co_await proxy::read_head(stream, in, proxy::HeadOf::request, kHeadLimit, until);
    if (read.outcome != proxy::HeadRead::Outcome::complete) co_return false;
    http::RequestHead head;
    const Result<> parsed = http::parse_found_request(in.view().substr(0, read.size), head);
    Response response;
    bool keep = false;
    bool with_content = true;
    if (!parsed) {
      response = plain(400, parsed.error().detail);
    } else {
      // Nothing here takes content: a request that has some ends the connection.
      keep = head.keep_alive && head.framing.kind == http::Framing::Kind::none;
      with_content = head.method != "HEAD";
      response = co_await answer(head);
    }
    in.consume(read.size);
    std::string bytes = to_bytes(response, keep, with_content);
    iovec piece{bytes.data(), bytes.size()};
    const std::span<iovec> pieces(&piece, 1);
    const Deadline taken = deadline_after(async::Scheduler::current().now(), kPatience);
    const net::Io put = co_await stream.write_all(pieces, taken);
    co_return put.ok() && keep;
  }

  async::Task<Response> answer(http::RequestHead& head) {
    const std::string_view path = head.target.substr(0, head.target.find('?'));
    const Matched matched = match(head.method, path);
    if (matched.route == nullptr) {
      if (matched.allow.empty()) co_return plain(404, "GET /v1/openapi.json says what there is");
      Response refused = plain(405, matched.allow + " only");
      refused.fields = "Allow: " + matched.allow + "\r\n";
      co_return refused;
    }
    std::optional<Response> refused = refuse(head, matched.route->access);
    if (refused) co_return std::move(*refused);
    std::string query(head.target.substr(std::min(head.target.size(), path.size() + 1)));
    switch (matched.route->what) {
      case What::health:
        co_return plain(200, "ok");
      case What::openapi:
        co_return Response{.content_type = "application/json",
                           .content = std::string(embedded::kOpenapiJson),
                           .fields = {}};
      case What::jwks:
      case What::derived_secret:
        co_return answer_about_keys(matched, query);
      case What::consent:
        co_return co_await answer_callback(head, matched, std::move(query));
      case What::readiness:
      case What::metrics:
        co_return co_await answer_from_workers(matched.route->what);
      default:
        co_return co_await answer_about_deliveries(matched, std::move(query));
    }
  }

  async::Task<Response> answer_from_workers(What what) {
    if (what == What::readiness && gateway_.draining()) co_return plain(503, "draining");
    const std::shared_ptr<Collected> collected = ask_workers();
    const Deadline until = deadline_after(async::Scheduler::current().now(), kWorkerPatience);
    const bool came = co_await collected->came.wait(until);
    if (!came) co_return plain(503, "a worker does not answer");
    if (what == What::readiness) co_return plain(200, "ready");
    Response metrics;
    metrics.content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics.content =
        proxy::to_prometheus(collected->metrics, gateway_.process(), gateway_.labels());
    co_return metrics;
  }

  Response answer_about_keys(const Matched& matched, std::string_view query) {
    const std::shared_ptr<const config::Settings> settings = gateway_.settings();
    if (matched.route->what == What::jwks) return jwks(*settings, clock_.wall());
    return derived_secret(*settings, matched.parameter, query);
  }

  async::Task<Response> answer_callback(http::RequestHead& head, Matched matched,
                                        std::string query) {
    const Result<uint64_t> rate = callback_rate(head, query);
    if (!rate) co_return plain(400, rate.error().detail);
    queue::Client* client = client_ ? &*client_ : nullptr;
    const uint64_t per_minute = *rate;
    const WallTime wall = clock_.wall();
    proxy::Consents* consents = &gateway_.consents();
    co_return co_await redeem_callback(client, consents, std::move(matched.parameter), per_minute,
                                       wall);
  }

  async::Task<Response> answer_about_deliveries(Matched matched, std::string query) {
    queue::Client* client = client_ ? &*client_ : nullptr;
    std::string id = std::move(matched.parameter);
    switch (matched.route->what) {
      case What::deliveries:
        return list_deliveries(client, gateway_.settings(), std::move(query));
      case What::delivery:
        return show_delivery(client, std::move(id),
                             may_tell_secrets() ? Answers::shown : Answers::hidden);
      case What::delivery_content:
        return show_content(client, std::move(id));
      case What::replay:
        return replay_delivery(client, std::move(id));
      case What::cancel:
        return cancel_delivery(client, std::move(id));
      case What::endpoints:
        return list_endpoints(client, &gateway_.destinations());
      case What::enable:
        return enable_endpoint(client, &gateway_.destinations(), std::move(id));
      case What::disable:
        return disable_endpoint(client, std::move(id));
      default:
        return replay_deliveries(client, gateway_.settings(), std::move(query));
    }
  }

  // Of whoever was not refused: with the token, or on a Unix socket.
  [[nodiscard]] bool may_tell_secrets() const {
    return token_.has_value() || !acceptor_.socket().endpoint;
  }

  // With a token, only for who has it; without one, only for who addresses this machine by address,
  // so that a web page cannot rebind its own name to it. A page of another origin changes nothing:
  // a browser says where a POST comes from (Fetch 3.1).
  std::optional<Response> refuse(const http::RequestHead& head, Access access) {
    if (access == Access::everybody) return std::nullopt;
    if (token_) {
      const http::Field* field = head.fields.find("Authorization");
      constexpr std::string_view kBearer = "bearer ";
      const bool bearer = field != nullptr && field->value.size() > kBearer.size() &&
                          text::equals_ignore_case(field->value.substr(0, kBearer.size()), kBearer);
      if (bearer && token_->equals(field->value.substr(kBearer.size()))) return std::nullopt;
      Response refused = plain(401, "Authorization: Bearer with admin.token is required");
      refused.fields = "WWW-Authenticate: Bearer realm=\"egret\"\r\n";
      return refused;
    }
    const http::Field* host = head.fields.find("Host");
    const std::string_view named = host == nullptr ? std::string_view() : host->value;
    if (!named.empty()) {
      const Result<policy::Authority> authority = policy::parse_host_header(named);
      const bool local =
          authority && (authority->host.literal || authority->host.text == "localhost");
      if (!local) {
        return plain(403,
                     "address the admin listener by IP address or localhost, or set admin.token");
      }
    }
    const http::Field* origin = head.fields.find("Origin");
    if (origin != nullptr && origin->value != "http://" + std::string(named)) {
      return plain(403, "a page of another origin has no say here");
    }
    if (access == Access::secrets && !may_tell_secrets()) {
      return plain(403,
                   "this tells a secret: set admin.token and send it, or let admin.address be a "
                   "Unix socket");
    }
    return std::nullopt;
  }

  std::shared_ptr<Collected> ask_workers() {
    auto collected = std::make_shared<Collected>();
    gateway_.collect([mailbox = mailbox_.shared(), collected](proxy::Metrics metrics) {
      mailbox->post([collected, metrics = std::move(metrics)]() mutable {
        collected->metrics = std::move(metrics);
        collected->came.set();
      });
    });
    return collected;
  }

  SystemClock clock_;
  async::Loop& loop_;
  async::MailboxOwner mailbox_;  // workers may answer when the admin listener has gone already
  Gateway& gateway_;
  std::optional<queue::Client> client_;  // nothing: nothing is kept
  std::optional<Secret> token_;
  net::Acceptor acceptor_;
  proxy::BufferPool buffers_;
  async::TaskSet connections_;
  async::TaskSet accepting_;  // cancelled first
};

Result<net::ListenSocket> bind(const config::ListenAddress& address) {
  if (address.endpoint) return net::listen_tcp(*address.endpoint);
  return net::listen_unix(address.unix_path);
}

Admin::Admin(net::ListenSocket socket, const config::Admin& settings, Gateway& gateway) {
  std::promise<void> started;
  thread_ = std::thread([&, token = settings.token, bound = std::move(socket)]() mutable {
    pthread_setname_np(pthread_self(), "egret-admin");
    const SystemClock clock;
    std::unique_ptr<async::Loop> loop;
    std::unique_ptr<Inside> inside;
    try {
      loop = std::make_unique<async::Loop>(clock);
      inside = std::make_unique<Inside>(*loop, std::move(bound), std::move(token), gateway);
    } catch (...) {
      started.set_exception(std::current_exception());
      return;
    }
    loop_ = loop.get();
    inside_ = inside.get();
    async::Loop& running = *loop;
    started.set_value();
    running.run();
  });
  try {
    started.get_future().get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

Admin::~Admin() {
  loop_->stop();
  thread_.join();
}

void Admin::set_token(std::optional<Secret> token) {
  loop_->post_from_anywhere(
      [this, token = std::move(token)]() mutable { inside_->set_token(std::move(token)); });
}

}  // namespace egret::admin
