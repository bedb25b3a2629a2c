#include "tests/support/cancellation.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/support/memory_stream.h"

namespace egret::test {
namespace {

// One run; true when the root finished rather than being cancelled.
bool run_and_cancel(const std::function<std::unique_ptr<World>(ManualLoop&)>& make, size_t nodes) {
  const int counted = Counted::alive();
  const int streams = MemoryStream::alive();
  bool finished = false;
  {
    ManualLoop loop;
    {
      const std::unique_ptr<World> world = make(loop);
      async::Task<void> root = world->root();
      finished = run_to_end(loop, *world, root, nodes);
      root.reset();
      world->check_after();
      // What was already on its way must find nobody to run.
      loop.run_until_idle();
      world->check_after();
    }
    EXPECT_EQ(loop.scheduler().timers().size(), 0U) << "timers left";
    EXPECT_TRUE(loop.scheduler().ready().empty()) << "ready nodes left";
  }
  EXPECT_EQ(Counted::alive(), counted) << "objects left";
  EXPECT_EQ(MemoryStream::alive(), streams) << "streams left";
  return finished;
}

}  // namespace

bool run_to_end(ManualLoop& loop, World& world, async::Task<void>& root, size_t most_nodes) {
  root.start();
  for (size_t ran = 0; !root.done();) {
    if (!loop.scheduler().ready().empty()) {
      if (ran == most_nodes) return false;
      loop.step();
      ++ran;
    } else if (!world.act() && !loop.advance_to_next_timer()) {
      throw std::logic_error("the root waits for what never comes");
    }
  }
  root.result();
  return true;
}

size_t cancel_at_every_turn(const std::function<std::unique_ptr<World>(ManualLoop&)>& make) {
  constexpr size_t kMostNodes = 1'000'000;
  for (size_t nodes = 0; nodes < kMostNodes; ++nodes) {
    SCOPED_TRACE("cancelled after " + std::to_string(nodes) + " ready nodes");
    if (run_and_cancel(make, nodes)) return nodes;
    if (testing::Test::HasFailure()) return nodes;  // the first says enough
  }
  throw std::logic_error("the root never finishes");
}

}  // namespace egret::test
