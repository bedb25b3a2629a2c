#pragma once

#include <cstdint>
#include <string>

#include "proxy/logging.h"
#include "proxy/queue/queue.h"

namespace egret::commands {

// What the queue's store holds, in words for the log.
std::string summary_of(const queue::Stats& stats);

// QueueWatch writes to the log what an operator should hear of the queue. One thread, the main
// one's; outlived by both.
class QueueWatch {
 public:
  // Says what the store holds.
  QueueWatch(const queue::Queue& queue, proxy::Log& log);
  // Says when there are more hosts switched off than at the last look.
  void look();

 private:
  const queue::Queue& queue_;
  proxy::Log& log_;
  uint64_t disabled_ = 0;
};

}  // namespace egret::commands
