#include "tests/support/proxy_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "base/text.h"
#include "proxy/http/body.h"

namespace egret::test {
namespace {

class Environment final : public config::SecretSource {
 public:
  std::string read_file(const std::string& path, std::string& error) override {
    return read_env(path, error);
  }
  std::string read_command(const std::vector<std::string>& arguments, std::string& error) override {
    return read_env(arguments.front(), error);
  }
  std::string read_env(const std::string& name, std::string& error) override {
    const auto found = Gateway::environment().find(name);
    if (found != Gateway::environment().end()) return found->second;
    error = "no " + name;
    return {};
  }
};

// Calls `visit(name, value)` for each field line.
template <typename Visit>
void each_field(std::string_view head, Visit visit) {
  head.remove_prefix(std::min(head.size(), head.find("\r\n") + 2));
  while (!head.empty() && !head.starts_with("\r\n")) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    const size_t colon = line.find(':');
    visit(line.substr(0, colon), text::trim(line.substr(colon + 1)));
    head.remove_prefix(line.size() + 2);
  }
}

std::string member_of(std::string_view json, std::string_view key) {
  const std::string start = "\"" + std::string(key) + "\":";
  const size_t found = json.find(start);
  if (found == std::string_view::npos) return {};
  std::string_view rest = json.substr(found + start.size());
  if (!rest.starts_with('"')) return std::string(rest.substr(0, rest.find_first_of(",}")));
  std::string value;
  for (size_t i = 1; i < rest.size() && rest[i] != '"'; ++i) {
    if (rest[i] == '\\') ++i;
    value += rest[i];
  }
  return value;
}

}  // namespace

int Message::status() const { return start.size() > 11 ? std::stoi(start.substr(9, 3)) : 0; }

std::string Message::field(std::string_view name) const {
  std::optional<std::string> found;
  each_field(head, [&](std::string_view field, std::string_view value) {
    if (!found && text::equals_ignore_case(field, name)) found = value;
  });
  return found.value_or("");
}

size_t Message::count(std::string_view name) const {
  size_t times = 0;
  each_field(head, [&](std::string_view field, std::string_view) {
    if (text::equals_ignore_case(field, name)) ++times;
  });
  return times;
}

std::string Message::problem(std::string_view member) const { return member_of(body, member); }

http::Framing framing_of(const Message& message, Kind kind) {
  using Framing = http::Framing;
  const int status = kind == Kind::request ? 0 : message.status();
  const bool none = kind == Kind::answer_to_head || (status >= 100 && status < 200) ||
                    status == 204 || status == 304;
  if (none) return {};
  if (text::equals_ignore_case(message.field("Transfer-Encoding"), "chunked")) {
    return {Framing::Kind::chunked, 0};
  }
  const std::string length = message.field("Content-Length");
  if (!length.empty()) return {Framing::Kind::length, std::stoull(length)};
  return {kind == Kind::request ? Framing::Kind::none : Framing::Kind::until_close, 0};
}

Message take_message(std::string& bytes, Kind kind) {
  Message message;
  const size_t end = bytes.find("\r\n\r\n");
  if (end == std::string::npos) return message;
  message.head = bytes.substr(0, end + 4);
  message.start = message.head.substr(0, message.head.find("\r\n"));
  size_t used = end + 4;
  http::BodyDecoder decoder(framing_of(message, kind));
  while (!decoder.done() && used < bytes.size()) {
    const auto step = decoder.next(std::string_view(bytes).substr(used));
    if (!step) {
      ADD_FAILURE() << "bad framing: " << step.error().detail << " in " << bytes;
      break;
    }
    message.body += step->content;
    used += step->consumed;
  }
  message.whole = decoder.done();
  bytes.erase(0, used);
  return message;
}

std::string log_value(std::string_view line, std::string_view key) { return member_of(line, key); }

void FarEnd::send(std::string_view bytes) {
  peer_.feed(bytes);
  loop_->run_until_idle();
}

void FarEnd::finish() {
  peer_.finish();
  loop_->run_until_idle();
}

void FarEnd::close() {
  peer_.close();
  loop_->run_until_idle();
}

void FarEnd::reset() {
  peer_.reset();
  loop_->run_until_idle();
}

std::string& FarEnd::received() {
  loop_->run_until_idle();
  for (std::string more = peer_.take_received(); !more.empty(); more = peer_.take_received()) {
    received_ += more;
    loop_->run_until_idle();
  }
  return received_;
}

bool FarEnd::received_eof() {
  loop_->run_until_idle();
  return peer_.received_eof();
}

namespace {

void fail(std::exception_ptr bug) {
  try {
    std::rethrow_exception(bug);
  } catch (const std::exception& error) {
    ADD_FAILURE() << "a connection ended by a bug: " << error.what();
  }
}

}  // namespace

Gateway::Gateway(ManualLoop& on, std::string_view yaml)
    : loop(on),
      services{.clock = loop.clock(),
               .resolver = nullptr,
               .connector = connector,
               .pool = pool,
               .buffers = buffers,
               .destinations = destination_table,
               .metrics = metrics,
               .access_log = [this](const std::string& line) { lines_.push_back(line); },
               .pseudonym = "egret-test",
               .policy = nullptr,
               .next_request_id = 1},
      consent_desk(services, consent_table, fail),
      sessions(metrics),
      tasks_(fail) {
  services.consent = &consent_desk;
  reload(yaml);
}

Gateway::~Gateway() { tasks_.cancel_all(); }

std::map<std::string, std::string>& Gateway::environment() {
  static std::map<std::string, std::string> variables;
  return variables;
}

std::shared_ptr<const config::Settings> Gateway::settings(std::string_view yaml) {
  Environment secrets;
  const config::Loaded loaded =
      config::load_text(yaml.empty() ? "mode: enforce\n" : yaml, "test.yaml", secrets);
  if (loaded.settings) return loaded.settings;
  std::string all;
  for (const auto& diagnostic : loaded.diagnostics) all += diagnostic.to_string() + "\n";
  throw std::invalid_argument(all);
}

std::shared_ptr<net::CachingResolver> Gateway::make_resolver(const config::Resolver& settings) {
  return std::make_shared<net::CachingResolver>(
      dns, net::CacheLimits{.entries = settings.cache_entries,
                            .min_ttl = settings.min_ttl,
                            .max_ttl = settings.max_ttl,
                            .negative_ttl = settings.negative_ttl});
}

void Gateway::reload(std::string_view yaml) {
  const std::shared_ptr<const config::Settings> fresh = settings(yaml);
  if (!services.policy || services.policy->settings->resolver != fresh->resolver) {
    services.resolver = make_resolver(fresh->resolver);
  }
  services.policy =
      std::make_shared<const proxy::Policy>(fresh, std::vector<policy::Endpoint>(), labels);
  pool.clear();
}

void Gateway::drain() {
  services.draining = true;
  sessions.wake_idle();
  loop.run_until_idle();
}

std::shared_ptr<proxy::ListenerInfo> Gateway::listener(std::string_view name) {
  std::shared_ptr<proxy::ListenerInfo>& info = listeners_[std::string(name)];
  if (!info) {
    info = std::make_shared<proxy::ListenerInfo>();
    info->name = name;
    info->label = labels.intern(name);
  }
  return info;
}

void Gateway::set_max_connections(uint32_t most, std::string_view name) {
  listener(name)->max_connections = most;
}

async::Task<void> Gateway::serving(From from, std::optional<FarEnd>& sender) {
  const std::shared_ptr<proxy::ListenerInfo> info = listener(from.listener);
  ScriptedConnection made = make_scripted_connection(from.capacity);
  sender.emplace(loop, made.peer);
  std::optional<policy::Address> address;
  if (from.address) address = policy::Address::parse(*from.address);
  std::optional<proxy::ConnectionSlot> slot = sessions.place_for_one_more(info);
  if (!slot) return proxy::turn_away(services, std::move(made.stream), info);
  return proxy::serve(services, sessions, std::move(*slot), std::move(made.stream), info, address);
}

FarEnd Gateway::connect(From from) {
  std::optional<FarEnd> sender;
  tasks_.spawn(serving(from, sender));
  loop.run_until_idle();
  return *sender;
}

FarEnd& Gateway::destination(size_t index) {
  loop.run_until_idle();
  destinations_.reserve(64);  // references stay
  while (destinations_.size() <= index) {
    destinations_.emplace_back(loop, connector.peer(destinations_.size()));
  }
  return destinations_[index];
}

std::string Gateway::logged(std::string_view key) const {
  return lines_.empty() ? "" : log_value(lines_.back(), key);
}

std::string Gateway::still_open() {
  loop.run_until_idle();
  std::string open;
  const auto expect_none = [&open](std::string_view what, int64_t count) {
    if (count != 0) open.append(what).append(" ").append(std::to_string(count)).append("; ");
  };
  expect_none("buffers", static_cast<int64_t>(buffers.lent()));
  expect_none("destinations in flight", static_cast<int64_t>(destination_table.in_flight()));
  expect_none("exchanges", metrics.exchanges_open);
  expect_none("tunnels", metrics.tunnels_open);
  expect_none("sessions", static_cast<int64_t>(sessions.size()));
  expect_none("queries", dns.resolving());
  expect_none("dials", connector.dialer().dialling());
  for (const auto& [label, count] : metrics.connections_open) {
    expect_none("connections of " + std::to_string(label), count);
  }
  for (const auto& [name, info] : listeners_) expect_none("places of " + name, info->open.load());
  return open;
}

void Gateway::expect_at_rest() { EXPECT_EQ(still_open(), ""); }

void expect_refused(Gateway& gateway, FarEnd& sender, int status, std::string_view reason,
                    std::string_view token) {
  const Message answer = sender.take(Kind::answer);
  EXPECT_EQ(answer.status(), status);
  EXPECT_EQ(answer.problem("reason"), reason);
  EXPECT_EQ(answer.field("Proxy-Status").rfind("egret; error=" + std::string(token), 0), 0U)
      << answer.head;
  EXPECT_EQ(gateway.logged("reason"), reason);
  EXPECT_EQ(gateway.logged("status"), std::to_string(status));
}

Sandbox::Sandbox(std::string_view yaml) : Gateway(own_loop, yaml) { dns.answer(kHost, {kAddress}); }

std::string post(std::string_view body, std::string_view fields) {
  return "POST http://hooks.acme.io/in HTTP/1.1\r\nHost: hooks.acme.io\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::string get(std::string_view fields) {
  return "GET http://hooks.acme.io/in HTTP/1.1\r\nHost: hooks.acme.io\r\n" + std::string(fields) +
         "\r\n";
}

std::string connect_request(std::string_view authority) {
  return "CONNECT " + std::string(authority) + " HTTP/1.1\r\nHost: x\r\n\r\n";
}

}  // namespace egret::test
