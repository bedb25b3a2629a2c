#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/admission.h"
#include "proxy/metrics.h"
#include "proxy/net/stream.h"
#include "proxy/tls/stream.h"

namespace egret::proxy {

// Where a sender's connection came in, shared by all workers. Outlives its listener: open
// connections keep it.
struct ListenerInfo {
  std::string name;
  Labels::Id label = 0;
  std::atomic<uint32_t> max_connections{UINT32_MAX};  // a reload may change it
  std::atomic<uint32_t> open{0};
};

// A place among a listener's connections, given back when it dies.
class ConnectionSlot {
 public:
  ConnectionSlot() = default;
  // Nothing when the listener is full.
  static std::optional<ConnectionSlot> take(std::shared_ptr<ListenerInfo> listener);
  // The place of a connection that was told to end, before it has.
  static ConnectionSlot take_of_another(std::shared_ptr<ListenerInfo> listener);
  ConnectionSlot(ConnectionSlot&&) noexcept = default;
  ConnectionSlot& operator=(ConnectionSlot&&) noexcept = default;
  ~ConnectionSlot() {
    if (listener_) listener_->open.fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  std::shared_ptr<ListenerInfo> listener_;
};

// A request that was kept, while an attempt at its destination is made, and what comes of it.
struct KeptRequest {
  std::string sender;    // by name, or empty
  std::string delivery;  // its id
  // Out:
  std::shared_ptr<const Policy> policy = {};  // that the attempt was made under
  const policy::Rule* rule = nullptr;         // of `policy`, that took it; null: none did
  Record record = {};                         // whole, once the exchange is over
  std::optional<Duration> retry_after = {};
  bool answered = false;  // what was said is the destination's answer, or the beginning of it
  bool disable = false;   // the destination wants nothing more at all
  bool unwanted = false;  // the destination says that it does not want it
};

// One sender's connection, as an exchange sees it.
struct SenderConnection {
  net::Stream& outer;  // as it was accepted, with TLS where the listener has it
  std::shared_ptr<const ListenerInfo> listener;
  std::optional<policy::Address> address;
  std::vector<std::string> certificate_names = {};  // of a verified client certificate
  // Once a CONNECT is intercepted: what it carries, in the place of the outer stream.
  std::unique_ptr<tls::TlsStream> inner = {};
  std::optional<Inside> inside = {};
  bool inner_used = false;      // something has come through it
  KeptRequest* kept = nullptr;  // set: nobody waits for the answer
  [[nodiscard]] net::Stream& stream() const { return inner ? *inner : outer; }
};

// What becomes of the sender's connection after an exchange.
enum class After : uint8_t {
  keep,    // the next request, please
  close,   // at once
  linger,  // after what the sender is still sending has been read for a moment, so that the answer
           // is not lost to a reset
};

}  // namespace egret::proxy
