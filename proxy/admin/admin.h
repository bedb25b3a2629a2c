#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "config/settings.h"
#include "proxy/async/loop.h"
#include "proxy/metrics.h"
#include "proxy/net/listener.h"

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
  // Those in force.
  [[nodiscard]] virtual std::shared_ptr<const config::Settings> settings() const = 0;
};

// Binds the admin address. Apart from Admin, so that the proxy can be told where it is before
// anything serves. Errors: internal_error with a sentence.
Result<net::ListenSocket> bind(const config::ListenAddress& address);

// Admin serves health and metrics, on a thread and a loop of its own: a busy worker does not delay
// it, and no proxy listener ever leads here.
//   GET /healthz  200 while the process can answer
//   GET /readyz   200 when every worker answers within a second; 503 otherwise and while draining
//   GET /metrics  Prometheus text; needs the token when there is one
//   GET /v1/keys/jwks.json            the public keys of what signs (RFC 7517); everybody's
//   GET /v1/keys/{name}/derived?host= the secret that a key with `derive` has for a host; only with
//                                     a token, or on a Unix socket
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
