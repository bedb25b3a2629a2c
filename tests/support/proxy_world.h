#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "proxy/consent_desk.h"
#include "proxy/http/message.h"
#include "proxy/services.h"
#include "proxy/session.h"
#include "tests/support/fakes.h"
#include "tests/support/manual_loop.h"

namespace egret::test {

// One message taken off a run of bytes: an answer that a sender got, or a request that a
// destination got. Its content is out of its framing.
struct Message {
  std::string start;  // the first line
  std::string head;   // all of it, with the first line and the empty one
  std::string body;
  bool whole = false;  // head and content were there to their end

  [[nodiscard]] int status() const;
  // The first field of that name (any case), or "".
  [[nodiscard]] std::string field(std::string_view name) const;
  [[nodiscard]] size_t count(std::string_view name) const;
  // A text member of a problem+json body, or "".
  [[nodiscard]] std::string problem(std::string_view member) const;
};
enum class Kind : uint8_t { request, answer, answer_to_head };
// Of the content behind `message.head`.
http::Framing framing_of(const Message& message, Kind kind);
// Takes one message off the front of `bytes`; nothing is taken when no whole head is there. An
// answer without a length goes on to the end.
Message take_message(std::string& bytes, Kind kind);

// The value of `key` in a JSON log line, without quotes; "" when there is none.
std::string log_value(std::string_view line, std::string_view key);

// A far end with what it has got so far: a sender's, or a destination's.
class FarEnd {
 public:
  FarEnd(ManualLoop& loop, ScriptedPeer peer) : loop_(&loop), peer_(std::move(peer)) {}
  ScriptedPeer& peer() { return peer_; }
  // Sends, and lets everything happen that can without time passing.
  void send(std::string_view bytes);
  void finish();
  void close();
  void reset();
  // What came and was not taken. Makes room for more, and lets it come.
  std::string& received();
  Message take(Kind kind) { return take_message(received(), kind); }
  [[nodiscard]] bool ended() { return received_eof() || peer_.was_reset(); }
  [[nodiscard]] bool received_eof();
  [[nodiscard]] bool was_reset() { return peer_.was_reset(); }

 private:
  ManualLoop* loop_;
  ScriptedPeer peer_;
  std::string received_;
};

// Gateway is one worker of Egret without sockets: everything between a sender's stream and a
// destination's, over fakes. Any name resolves to what `dns` says, anything that is dialled
// answers as `connector` says, the log is kept.
//   Given the loop it runs on, which outlives it.
class Gateway {
 public:
  explicit Gateway(ManualLoop& loop, std::string_view yaml = {});
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Environment variables that secrets in `yaml` may name.
  static std::map<std::string, std::string>& environment();
  // Throws std::invalid_argument with the diagnostics.
  static std::shared_ptr<const config::Settings> settings(std::string_view yaml);

  struct From {
    std::optional<std::string> address = "198.51.100.7";  // nothing: a Unix socket
    std::string listener = "127.0.0.1:4750";
    size_t capacity = SIZE_MAX;  // that the sender takes before Egret's writes block
  };
  // A sender's connection, served, or turned away when the listener is full.
  FarEnd connect() { return connect(From()); }
  FarEnd connect(From from);
  // The same as a task, for whoever cancels it.
  async::Task<void> serving(From from, std::optional<FarEnd>& sender);
  // The far end of the `index`th connection made to a destination; throws std::out_of_range.
  FarEnd& destination(size_t index = 0);
  [[nodiscard]] size_t destinations() { return connector.connections(); }

  // As the worker does it.
  void reload(std::string_view yaml);
  void drain();
  void set_max_connections(uint32_t most, std::string_view listener = "127.0.0.1:4750");

  // Cancels everything, as a worker that ends.
  void stop() { tasks_.cancel_all(); }

  // Sessions and connections turned away that are still there.
  [[nodiscard]] size_t serving_now() const { return tasks_.size(); }
  // Access-log lines, in order, and a value of the last one.
  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }
  [[nodiscard]] std::string logged(std::string_view key) const;
  // What is held or counted as open, in words, or "". Idle upstream connections may be.
  std::string still_open();
  void expect_at_rest();

  ManualLoop& loop;
  FakeResolver dns;
  FakeConnector connector;
  proxy::Labels labels;
  proxy::Metrics metrics;
  proxy::BufferBudget buffer_memory;
  proxy::BufferPool buffers{buffer_memory};
  proxy::Destinations destination_table;
  proxy::UpstreamPool pool;
  proxy::Consents consent_table;
  proxy::Services services;
  proxy::ConsentDesk consent_desk;
  proxy::Sessions sessions;

 private:
  std::shared_ptr<net::CachingResolver> make_resolver(const config::Resolver& settings);
  std::shared_ptr<proxy::ListenerInfo> listener(std::string_view name);
  std::map<std::string, std::shared_ptr<proxy::ListenerInfo>, std::less<>> listeners_;
  std::vector<std::string> lines_;
  std::vector<FarEnd> destinations_;
  async::TaskSet tasks_;  // cancelled first
};

// Expects that the sender's next answer is Egret's own, with these, and that the log agrees.
void expect_refused(Gateway& gateway, FarEnd& sender, int status, std::string_view reason,
                    std::string_view token);

struct OwnLoop {
  ManualLoop own_loop;
};
// A Gateway with a loop of its own, and one public destination: hooks.acme.io at 93.184.215.14.
class Sandbox : private OwnLoop, public Gateway {
 public:
  static constexpr std::string_view kHost = "hooks.acme.io";
  static constexpr std::string_view kAddress = "93.184.215.14";
  static constexpr std::string_view kEndpoint = "93.184.215.14:80";
  explicit Sandbox(std::string_view yaml = {});
};

// "POST http://hooks.acme.io/in HTTP/1.1" with Host, `fields` (complete lines), a length, `body`.
std::string post(std::string_view body, std::string_view fields = {});
std::string get(std::string_view fields = {});
std::string connect_request(std::string_view authority = "hooks.acme.io:443");
inline constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

}  // namespace egret::test
