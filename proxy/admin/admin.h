#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "config/settings.h"
#include "proxy/async/loop.h"
#include "proxy/consent.h"
#include "proxy/destinations.h"
#include "proxy/metrics.h"
#include "proxy/net/listener.h"
#include "proxy/queue/queue.h"

namespace egret::admin {

// What the admin listener asks of the gateway. Any thread.
class Gateway {
 public:
  virtual ~Gateway() = default;
  [[nodiscard]] virtual bool draining() const = 0;
  // Calls `take` from any thread once every worker has answered; never, when one hangs.
  virtual void collect(std::function<void(proxy::Metrics)> take) = 0;
  [[nodiscard]] virtual proxy::ProcessMetrics process() const = 0;
  [[nodiscard]] virtual const proxy::Labels& labels() const = 0;
  // Outlive the admin listener. No queue: nothing is kept.
  [[nodiscard]] virtual proxy::Destinations& destinations() = 0;
  [[nodiscard]] virtual proxy::Consents& consents() = 0;
  [[nodiscard]] virtual queue::Queue* queue() const = 0;
  // Those in force.
  [[nodiscard]] virtual std::shared_ptr<const config::Settings> settings() const = 0;
};

// Binds the admin address. Apart from Admin, so that the proxy can be told where it is before
// anything serves. Errors: internal_error with a sentence.
Result<net::ListenSocket> bind(const config::ListenAddress& address);

// Admin serves health and metrics, on a thread and a loop of its own: a busy worker does not delay
// it, and no proxy listener ever leads here.
//   What it answers is in routes.cc, and for others in openapi.json.
//   Throws what keeps it from starting. Stops and joins when destroyed.
class Admin {
 public:
  Admin(net::ListenSocket socket, const config::Admin& settings, Gateway& gateway);
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  // The token of a reloaded configuration.
  void set_token(std::optional<Secret> token);

 private:
  class Inside;
  std::thread thread_;
  async::Loop* loop_ = nullptr;
  Inside* inside_ = nullptr;
};

}  // namespace egret::admin
