#pragma once

#include <memory>

#include "proxy/exchange.h"
#include "proxy/services.h"

namespace egret::proxy {

// Sessions are a worker's open sender connections: a list that knows each, so that draining can end
// the idle ones. One thread; outlives its members.
class Sessions {
 public:
  class Member {
   public:
    Member(Sessions& sessions, net::Stream& stream, Labels::Id listener);
    ~Member();
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

   private:
    friend class Sessions;
    Sessions& sessions_;
    net::Stream& stream_;
    Labels::Id listener_;
    Member* prev_ = nullptr;
    Member* next_ = nullptr;
  };

  explicit Sessions(Metrics& metrics) : metrics_(metrics) {}
  // Wakes every session that waits for a request, so that it sees services.draining.
  void wake_idle();
  [[nodiscard]] size_t size() const { return size_; }

 private:
  Metrics& metrics_;
  Member* first_ = nullptr;
  size_t size_ = 0;
};

// Serves one sender's connection until it ends: waits for a request without holding a buffer, then
// runs exchanges while requests are there, answered in order.
//   Idle for longer than the defaults' timeouts.idle, it is closed without a word.
async::Task<void> serve(Services& services, Sessions& sessions, ConnectionSlot slot,
                        std::unique_ptr<net::Stream> stream,
                        std::shared_ptr<const ListenerInfo> listener,
                        std::optional<policy::Address> address);

// Answers a connection over the listener's limit with connection_limit, without reading from it,
// and closes.
async::Task<void> turn_away(Services& services, std::unique_ptr<net::Stream> stream,
                            std::shared_ptr<const ListenerInfo> listener);

}  // namespace egret::proxy
