#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/async/task_set.h"
#include "proxy/attempt.h"
#include "proxy/http/forward.h"
#include "proxy/sender_connection.h"

namespace egret::proxy {

// ONE REQUEST'S LIFE. Read docs/life-of-a-request.md beside this.
//   admit → attempt: (locate → open → sign → send → answer) → relay → record; what is kept for
//   later ends with its acceptance instead. What is to be signed, kept, sent again or sent on by a
//   redirect is received whole first; anything else streams. A redirect that the rule follows is
//   another verdict and another send; a failure that the rule retries is another attempt. A refusal
//   or failure that is left becomes the reason's answer, unless an answer has begun already: then
//   the sender's connection is reset, so that what came is never taken for whole. Owner: the
//   session, in whose frame it lives with `in` and `head`. One thread. Cancel: destroying the task
//   of run(); the upstream connection is closed and the slot given back.
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
  // exchange.cc: the walk.
  async::Task<Result<>> carry();
  std::optional<Result<>> reach_now();
  Result<> take_place();
  async::Task<Result<>> reach();
  async::Task<Result<>> agree();  // exchange_consent.cc
  Result<> set_out(policy::PermittedAddresses addresses);
  async::Task<After> answer_failure();
  After finish(After after);
  void note_health(std::optional<Reason> failure);

  // exchange_again.cc: redirects and retries.
  async::Task<Result<>> persist(Result<> reached);
  async::Task<Result<>> attempt();
  Result<bool> follow();
  [[nodiscard]] Failure on_the_way(Failure failure) const;
  Result<> go_on_to(policy::Hop hop);
  void leave_answer();
  [[nodiscard]] std::optional<Duration> wait_before_another(const Result<>& outcome);
  async::Task<Result<>> back_off(Duration wait);

  // exchange_keep.cc: what is kept, to be delivered when its sender has gone.
  policy::KeepPlan plan();
  async::Task<Result<>> keep_at_once();
  async::Task<Result<>> try_then_keep(Result<> reached);
  async::Task<std::optional<Result<>>> persist_for(Result<> reached, Duration patience);
  std::optional<Duration> wait_after_trying(const std::optional<Result<>>& outcome);
  async::Task<Result<>> keep(Duration wait);
  [[nodiscard]] queue::NewDelivery new_delivery(Duration wait);
  async::Task<Result<>> say_accepted(queue::State state);
  void choose_webhook_id();
  void note_answer();
  Result<> check_idempotency_key() const;

  // exchange_send.cc: one request at one destination, up to its answer's head.
  async::Task<Result<>> gather();
  async::Task<Result<>> ask();
  Result<> write_head();
  Result<> sign(const http::Changes& changes, signing::Signer& signer, std::string& lines);
  async::Task<Result<>> send_whole();
  async::Task<Result<>> send_streaming();
  async::Task<Result<>> wait_for_answer(Duration patience);
  async::Task<void> upload();
  async::Task<Result<>> say_continue();

  // exchange_relay.cc: the answer, to the sender.
  async::Task<Result<>> relay();
  void keep_upstream();

  // exchange_connect.cc: what CONNECT becomes.
  async::Task<Result<>> tunnel();
  async::Task<Result<>> intercept();
  async::Task<Result<>> unwrap();

  // The rule that took the sender's request: how often it is tried, where redirects may lead, what
  // a success is. Where the request goes now, the rule of the last hop decides.
  [[nodiscard]] const policy::Rule& asked() const { return *asked_; }
  [[nodiscard]] bool may_go_again() const;
  // The destination's answer may not be the sender's.
  [[nodiscard]] bool may_be_answered_otherwise() const {
    return may_go_again() || plan_.when != policy::KeepPlan::When::never;
  }
  // One at a time when it was kept: its schedule says when the next one is made.
  [[nodiscard]] uint32_t most_attempts() const;
  [[nodiscard]] bool content_is_buffered() const;
  [[nodiscard]] std::string_view content() const;
  [[nodiscard]] bool may_send_again() const;
  [[nodiscard]] bool content_is_sent() const;
  [[nodiscard]] Pace pace() const;

  Services& services_;
  SenderConnection& sender_;
  Buffer& in_;
  const std::shared_ptr<const Policy> policy_;
  Record record_;
  Deadline total_;

  // A head that outlives its place in `in_`.
  struct KeptHead {
    std::string bytes;
    http::RequestHead head;
  };
  std::unique_ptr<KeptHead> kept_head_;
  const http::RequestHead* head_;  // void once `in_` has let go of it, unless it was kept
  bool head_in_front_ = true;      // of `in_`
  size_t head_size_;
  http::Framing framing_;
  std::string_view method_;  // of record_
  int minor_version_;
  bool keep_alive_;
  bool expect_continue_;
  bool repeatable_;

  Admission admission_;  // of where the request goes now
  policy::KeepPlan plan_;
  const policy::Rule* asked_ = nullptr;
  Destinations::Slot slot_;
  std::optional<Route> route_;             // nothing: not looked up yet
  Buffer whole_;                           // content that did not come with the head
  bool gathered_ = false;                  // into whole_
  policy::Trail trail_;                    // of redirects
  std::vector<std::string> sensitive_;     // names that stay behind: the origin was left
  std::optional<policy::Endpoint> avoid_;  // where the last attempt failed
  std::string out_head_;                   // what goes to the destination
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
