#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/admission.h"
#include "proxy/async/task_set.h"
#include "proxy/attempt.h"

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

// One sender's connection, as an exchange sees it.
struct SenderConnection {
  net::Stream& outer;  // as it was accepted, with TLS where the listener has it
  std::shared_ptr<const ListenerInfo> listener;
  std::optional<policy::Address> address;
  std::vector<std::string> certificate_names = {};  // of a verified client certificate
  // Once a CONNECT is intercepted: what it carries, in the place of the outer stream.
  std::unique_ptr<tls::TlsStream> inner = {};
  std::optional<Inside> inside = {};
  bool inner_used = false;  // something has come through it
  [[nodiscard]] net::Stream& stream() const { return inner ? *inner : outer; }
};

// What becomes of the sender's connection after an exchange.
enum class After : uint8_t {
  keep,    // the next request, please
  close,   // at once
  linger,  // after what the sender is still sending has been read for a moment, so that the answer
           // is not lost to a reset
};

// ONE REQUEST'S LIFE. Read docs/life-of-a-request.md beside this.
//   admit → locate → open → send → answer → relay → record; a refusal or failure anywhere becomes
//   the reason's answer, unless an answer has begun already: then the sender's connection is reset,
//   so that what came is never taken for whole.
//   Owner: the session, in whose frame it lives with `in` and `head`. One thread. Cancel:
//   destroying the task that run() returned; the upstream connection is closed and the slot given
//   back.
class Exchange {
 public:
  // `head` is at the front of `in` and `head_size` bytes long.
  Exchange(Services& services, SenderConnection& sender, Buffer& in, const http::RequestHead& head,
           size_t head_size);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  async::Task<After> run();

 private:
  async::Task<Result<>> carry();
  async::Task<Result<>> attempt();
  async::Task<Result<>> send_whole();
  async::Task<Result<>> send_streaming();
  async::Task<Result<>> wait_for_answer(Duration patience);
  async::Task<void> upload();
  async::Task<Result<>> say_continue();
  async::Task<Result<>> relay();
  async::Task<After> answer_failure();
  async::Task<After> close_unanswered();
  async::Task<Result<>> tunnel();
  async::Task<Result<>> intercept();
  async::Task<Result<>> unwrap();

  [[nodiscard]] bool content_is_buffered() const;
  [[nodiscard]] bool may_send_again() const;
  [[nodiscard]] bool content_is_sent() const;
  [[nodiscard]] Pace pace() const;
  void keep_upstream();
  After finish(After after);

  Services& services_;
  SenderConnection& sender_;
  Buffer& in_;
  const std::shared_ptr<const Policy> policy_;
  Record record_;
  Deadline total_;

  // Taken from the head before `in_` lets go of it.
  const http::RequestHead& head_;  // void once the head is consumed
  size_t head_size_;
  http::Framing framing_;
  std::string_view method_;  // of record_
  int minor_version_;
  bool keep_alive_;
  bool expect_continue_;
  bool repeatable_;

  Admission admission_;
  InFlight::Slot slot_;
  std::optional<Route> route_;
  std::string out_head_;  // what goes to the destination
  Upstream upstream_;
  bool upload_done_ = false;
  std::optional<Failure> upload_failure_;
  bool upstream_gone_ = false;  // it takes no more content
  async::Event upload_ended_;
  Answer answer_;
  bool answer_began_ = false;  // a byte of an answer came from the destination
  bool replied_ = false;       // a byte of an answer went to the sender
  async::TaskSet background_;  // the upload, while an answer may already come; cancelled first
};

}  // namespace egret::proxy
