#pragma once

#include <memory>
#include <optional>
#include <string>

#include "proxy/async/task_set.h"
#include "proxy/attempt.h"
#include "proxy/consent.h"

namespace egret::proxy {

// ConsentDesk asks destinations whether they agree, for the exchanges of one worker. One handshake
// at a time for a destination, over all workers; whoever comes meanwhile is refused. A handshake
// goes on when the exchange that began it has gone: no sender can break one off. One thread: the
// worker's. Outlives its exchanges; cancels its handshakes when it dies.
class ConsentDesk {
 public:
  // A handshake's whole time, whatever the rule's timeouts say.
  static constexpr Duration kLongest = std::chrono::seconds(30);
  static constexpr uint64_t kMostContent = 1024;  // of an answer
  static constexpr size_t kMostTurns = 256;       // at once; more must come again

  ConsentDesk(Services& services, Consents& table, async::TaskSet::OnBug on_bug);

  // A request that is about to leave.
  struct Request {
    std::shared_ptr<const Policy> policy;
    const policy::Rule* rule = nullptr;                     // of `policy`
    policy::Url url;                                        // where it is going
    const policy::PermittedAddresses* addresses = nullptr;  // nothing: it may not ask
    Deadline total = kNever;                                // how long it can wait for its answer
  };
  struct Refused {
    Failure failure;  // consent_missing, rate_limited
    Duration retry_after{};
  };
  // Nothing: it may leave. Waits only when it is this request's turn to ask.
  async::Task<std::optional<Refused>> admit(Request request);

 private:
  struct Turn;
  [[nodiscard]] policy::ConsentState::Able able(const Request& request) const;
  async::Task<void> take_turn(std::shared_ptr<Turn> turn);
  async::Task<std::optional<policy::Grant>> look(std::shared_ptr<Turn> turn);
  async::Task<policy::Asked> ask(std::shared_ptr<Turn> turn);
  async::Task<Result<policy::Asked>> converse(std::shared_ptr<Turn> turn);
  std::string head_of(const Turn& turn, std::string_view token);

  Services& services_;
  Consents& table_;
  async::TaskSet turns_;
};

}  // namespace egret::proxy
