#include "proxy/commands/queue_watch.h"

#include <gtest/gtest.h>

namespace egret::commands {
namespace {

TEST(QueueSummary, SaysWhatTheStoreHolds) {
  queue::Stats stats;
  EXPECT_EQ(summary_of(stats),
            "queue: 0 queued, 0 delivered, 0 dead, 0 cancelled, 0 hosts are switched off");
  stats.queued = 25;
  stats.delivered = 3;
  stats.dead = 990;
  stats.cancelled = 1;
  stats.disabled = 1;
  stats.oldest = WallTime(std::chrono::seconds(86400));
  EXPECT_EQ(summary_of(stats),
            "queue: 25 queued, 3 delivered, 990 dead, 1 cancelled, 1 host is switched off; the "
            "oldest queued is of 1970-01-02T00:00:00.000Z");
}

}  // namespace
}  // namespace egret::commands
