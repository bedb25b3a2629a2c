#pragma once

#include <memory>
#include <unordered_map>

#include "proxy/exchange.h"
#include "proxy/services.h"

namespace egret::proxy {

// Sessions are a worker's open sender connections: a list that knows each, so that draining can end
// the idle ones. One thread; outlives its members.
class Sessions {
  struct Idle;

 public:
  // Idle for less, a connection keeps its place when its listener is full.
  static constexpr Duration kLeastIdle = std::chrono::seconds(1);

  class Member {
   public:
    Member(Sessions& sessions, net::Stream& stream, Labels::Id listener);
    ~Member();
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    // It waits for a request, or no longer.
    void idle(net::Stream& stream);  // the one that it waits on
    void busy();
    // Somebody else needs its place.
    [[nodiscard]] bool ended() const { return ended_; }

   private:
    friend class Sessions;
    Sessions& sessions_;
    net::Stream* stream_;
    Labels::Id listener_;
    Idle& idle_;
    TimePoint idle_since_;
    bool is_idle_ = false;
    bool ended_ = false;
    Member* idle_before_ = nullptr;
    Member* idle_after_ = nullptr;
    Member* prev_ = nullptr;
    Member* next_ = nullptr;
  };

  explicit Sessions(Metrics& metrics) : metrics_(metrics) {}
  // Wakes every session that waits for a request, so that it sees services.draining.
  void wake_idle();
  // A place among the listener's connections. When all are taken, that of the one in this worker
  // which has waited longest for a request, and for kLeastIdle: it ends (RFC 9112 9.5 lets a server
  // do so at any time), so that who keeps connections for later cannot keep others out. Nothing
  // when there is none.
  std::optional<ConnectionSlot> place_for_one_more(std::shared_ptr<ListenerInfo> listener);
  [[nodiscard]] size_t size() const { return size_; }

  // Ends at most so many of a listener's that have waited longest, each for kLeastIdle at least.
  size_t end_longest_idle(Labels::Id listener, size_t most);

 private:
  static constexpr uint64_t kMostEnding = 64;  // over max_connections, for a turn
  // A listener's idle connections, the longest idle first.
  struct Idle {
    Member* first = nullptr;
    Member* last = nullptr;
  };
  Metrics& metrics_;
  std::unordered_map<Labels::Id, Idle> idle_;
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
