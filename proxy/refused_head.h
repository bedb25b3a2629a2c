#pragma once

#include <memory>
#include <utility>

#include "proxy/exchange.h"

namespace egret::proxy {

// The record of a request that never became one; its line is written however the refusal ends, by
// cancelling too.
class RefusedHead {
 public:
  RefusedHead(Services& services, const ListenerInfo& listener, Failure failure)
      : services_(services), policy_(services.policy) {
    record.id = services.next_request_id++;
    record.wall = services.clock.wall();
    record.began = async::Scheduler::current().now();
    record.listener = listener.name;
    record.listener_label = listener.label;
    record.sender_label = record.rule_label = policy_->nobody;
    record.failure = std::move(failure);
  }
  ~RefusedHead() {
    finish(record, async::Scheduler::current().now(), policy_->settings->log.format,
           services_.access_log, services_.metrics);
  }
  RefusedHead(const RefusedHead&) = delete;
  RefusedHead& operator=(const RefusedHead&) = delete;
  [[nodiscard]] const Policy& policy() const { return *policy_; }

  Record record;

 private:
  Services& services_;
  const std::shared_ptr<const Policy> policy_;
};

}  // namespace egret::proxy
