#include "proxy/commands/receive.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <signal.h>

#include <iostream>
#include <memory>
#include <optional>
#include <thread>

#include "base/text.h"
#include "config/files.h"
#include "config/scalars.h"
#include "proxy/async/loop.h"
#include "proxy/async/task_set.h"
#include "proxy/head_reader.h"
#include "proxy/http/parser.h"
#include "proxy/net/listener.h"
#include "proxy/net/stream.h"
#include "proxy/pour.h"
#include "proxy/reply.h"
#include "proxy/signing/verify.h"

namespace egret::commands {
namespace {

constexpr int kFailed = 2;
constexpr size_t kHeadLimit = 64 << 10;
constexpr uint64_t kBodyLimit = 16 << 20;
constexpr size_t kMostShown = 2000;  // of a body
constexpr size_t kMostKey = 64 << 10;
constexpr Duration kPatience = std::chrono::seconds(60);

struct NamedKey {
  std::string file;
  signing::VerifyKey key;
};

struct Plan {
  policy::Endpoint endpoint;
  std::vector<NamedKey> keys;
  int status = 200;
  int failing_status = 503;
  int fail = 0;  // so many first; -1: all
  Duration delay{};
  std::string redirect;
};

// One webhook, as text for a terminal.
class Page {
 public:
  void line(std::string_view text) { out_.append(text).append("\n"); }
  void show() const { std::cout << out_ << std::flush; }

 private:
  std::string out_;
};

std::string clock_time() {
  const auto now = std::chrono::system_clock::now();
  return fmt::format("{:%H:%M:%S}", fmt::localtime(std::chrono::system_clock::to_time_t(now)));
}

// What the sender named: a receiver behind something that ends TLS is told http, and signed for
// https.
std::optional<policy::Url> url_of(const http::RequestHead& head, std::string_view scheme) {
  const http::Field* host = head.fields.find("Host");
  if (host == nullptr || !head.target.starts_with('/')) return std::nullopt;
  Result<policy::Url> url = policy::parse_url(std::string(scheme) + "://" +
                                              std::string(host->value) + std::string(head.target));
  if (!url) return std::nullopt;
  return std::move(*url);
}

std::string check(const NamedKey& named, const http::RequestHead& head, std::string_view content) {
  std::string why = "the request's target and Host make no URL";
  for (const std::string_view scheme : {"http", "https"}) {
    const std::optional<policy::Url> url = url_of(head, scheme);
    if (!url) continue;
    const Result<> verified = signing::verify(named.key, {.method = head.method,
                                                          .url = *url,
                                                          .fields = head.fields.all(),
                                                          .content = content,
                                                          .now = std::chrono::system_clock::now()});
    if (verified) return {};
    why = verified.error().detail;
  }
  return why;
}

// What verifies, or why nothing does.
void check_all(const Plan& plan, const http::RequestHead& head, std::string_view content,
               Page& page) {
  if (plan.keys.empty()) {
    page.line("  signature  not checked: no --key");
    return;
  }
  std::vector<std::string> reasons;
  for (const NamedKey& named : plan.keys) {
    const std::string why = check(named, head, content);
    if (why.empty()) {
      page.line(fmt::format("  signature  VERIFIED ({}, by {})", to_string(named.key.scheme),
                            text::printable(named.file)));
      return;
    }
    reasons.push_back(fmt::format("  signature  NOT VERIFIED by {}: {}",
                                  text::printable(named.file), text::printable(why)));
  }
  for (const std::string& reason : reasons) page.line(reason);
}

class Receiver {
 public:
  Receiver(async::Loop& loop, net::ListenSocket socket, const Plan& plan)
      : loop_(loop), plan_(plan), acceptor_(loop, std::move(socket)) {
    accepting_.spawn(accept());
  }

 private:
  async::Task<void> accept() {
    while (true) {
      net::Accepted accepted = co_await acceptor_.accept();
      connections_.spawn(serve(std::make_unique<net::SocketStream>(loop_, std::move(accepted.fd))));
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
    const Deadline until = soon();
    const proxy::HeadRead read =
        co_await proxy::read_head(stream, in, proxy::HeadOf::request, kHeadLimit, until);
    if (read.outcome != proxy::HeadRead::Outcome::complete) co_return false;
    const std::string bytes(in.view().substr(0, read.size));
    http::RequestHead head;
    const Result<> parsed = http::parse_found_request(bytes, head);
    in.consume(read.size);
    if (!parsed) {
      std::cout << "a request that is not HTTP: " << text::printable(parsed.error().detail) << "\n";
      co_return false;
    }
    if (head.expect_continue && in.empty()) {
      const bool said = co_await say(stream, "HTTP/1.1 100 Continue\r\n\r\n");
      if (!said) co_return false;
    }
    proxy::Buffer content = buffers_.take();
    uint64_t count = 0;
    proxy::Source source{.stream = stream,
                         .buffer = in,
                         .decoder = http::BodyDecoder(head.framing),
                         .reasons = proxy::kSenderReasons,
                         .limit = kBodyLimit,
                         .count = count};
    const proxy::Pace pace{.total = soon()};
    const Result<> collected = co_await proxy::collect(source, content, pace);
    if (!collected) co_return false;
    const int status = next_status();
    tell(head, content.view(), status);
    if (plan_.delay > Duration::zero()) {
      const Deadline then = deadline_after(async::Scheduler::current().now(), plan_.delay);
      co_await async::sleep_until(then);
    }
    std::string reply = answer(status, head);
    const bool sent = co_await say(stream, std::move(reply));
    co_return sent&& head.keep_alive;
  }

  async::Task<bool> say(net::Stream& stream, std::string bytes) {
    iovec piece{bytes.data(), bytes.size()};
    const std::span<iovec> pieces(&piece, 1);
    const Deadline until = soon();
    const net::Io put = co_await stream.write_all(pieces, until);
    co_return put.ok();
  }

  static Deadline soon() { return deadline_after(async::Scheduler::current().now(), kPatience); }

  int next_status() {
    if (plan_.fail < 0) return plan_.failing_status;
    return failed_ < plan_.fail ? (++failed_, plan_.failing_status) : plan_.status;
  }

  void tell(const http::RequestHead& head, std::string_view content, int status) {
    Page page;
    page.line(fmt::format("{} {} {}", clock_time(), text::printable(head.method, 40),
                          text::printable(head.target, kMostShown)));
    for (const http::Field& field : head.fields.all()) {
      page.line(fmt::format("  {}: {}", text::printable(field.name, kMostShown),
                            text::printable(field.value, kMostShown)));
    }
    page.line(fmt::format("  body       {} bytes{}{}", content.size(), content.empty() ? "" : ": ",
                          text::printable(content, kMostShown)));
    check_all(plan_, head, content, page);
    page.line(fmt::format("  answered   {}", status));
    page.show();
  }

  std::string answer(int status, const http::RequestHead& head) const {
    const std::string content = status == 204 || status == 304 ? "" : "received\n";
    std::string out = fmt::format("HTTP/1.1 {} {}\r\n", status, proxy::reason_phrase(status));
    if (!plan_.redirect.empty()) out += "Location: " + plan_.redirect + "\r\n";
    if (status != 204 && status != 304) {
      out += fmt::format("Content-Type: text/plain\r\nContent-Length: {}\r\n", content.size());
    }
    if (!head.keep_alive) out += "Connection: close\r\n";
    out += "\r\n";
    return head.method == "HEAD" ? out : out + content;
  }

  async::Loop& loop_;
  const Plan& plan_;
  int failed_ = 0;
  net::Acceptor acceptor_;
  proxy::BufferPool buffers_;
  async::TaskSet connections_;
  async::TaskSet accepting_;  // cancelled first
};

// The plan, or one sentence in `error`.
std::optional<Plan> plan_of(const ReceiveOptions& options, std::string& error) {
  Plan plan;
  const auto address = policy::Address::parse(options.address);
  if (!address) {
    error = "--address: \"" + options.address + "\" is no IP address";
    return std::nullopt;
  }
  plan.endpoint = {*address, options.port};
  std::optional<policy::SigningScheme> scheme;
  if (!options.scheme.empty()) scheme = policy::parse_signing_scheme(options.scheme);
  if (!options.scheme.empty() && !scheme) error = "--scheme: \"" + options.scheme + "\" is none";
  for (const std::string& file : options.keys) {
    const auto text = config::read_whole(file, kMostKey, error);
    if (!text) {
      error = "--key: " + error;
      return std::nullopt;
    }
    Result<signing::VerifyKey> key = signing::parse_verify_key(*text, scheme);
    if (!key) error = "--key " + file + ": " + key.error().detail;
    if (!error.empty()) return std::nullopt;
    plan.keys.push_back({file, std::move(*key)});
  }
  if (!options.delay.empty()) {
    std::string why;
    const auto delay = config::parse_duration(options.delay, why);
    if (!delay) error = "--delay: " + why;
    plan.delay = delay.value_or(Duration::zero());
  }
  plan.redirect = options.redirect;
  if (config::has_control_byte(plan.redirect)) error = "--redirect: it has a control character";
  if (!plan.redirect.empty()) plan.status = 307;
  if (options.status != 0) plan.failing_status = options.status;
  plan.fail = options.fail;
  if (options.status != 0 && options.fail == 0) plan.fail = -1;
  if (!error.empty()) return std::nullopt;
  return plan;
}

}  // namespace

int receive(const ReceiveOptions& options) {
  std::string error;
  const std::optional<Plan> plan = plan_of(options, error);
  if (!plan) {
    std::cerr << "egret: " << error << "\n";
    return kFailed;
  }
  Result<net::ListenSocket> socket = net::listen_tcp(plan->endpoint);
  if (!socket) {
    std::cerr << "egret: " << socket.error().detail << "\n";
    return kFailed;
  }
  signal(SIGPIPE, SIG_IGN);
  sigset_t ends;
  sigemptyset(&ends);
  for (const int number : {SIGINT, SIGTERM}) sigaddset(&ends, number);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  std::cout << "receiving on http://" << socket->endpoint->to_string() << "/ (Ctrl-C ends it)\n"
            << std::flush;
  const SystemClock clock;
  async::Loop loop(clock);
  std::thread waiting([&] {
    int number = 0;
    while (sigwait(&ends, &number) != 0) {
    }
    loop.stop();
  });
  const Receiver receiver(loop, std::move(*socket), *plan);
  loop.run();
  waiting.join();
  return 0;
}

}  // namespace egret::commands
