#pragma once

#include <functional>
#include <memory>

#include "proxy/async/task.h"
#include "tests/support/manual_loop.h"

namespace egret::test {

// Counted counts the living: put one into whatever must not outlive its owner.
class Counted {
 public:
  Counted() { ++alive_; }
  Counted(const Counted&) { ++alive_; }
  Counted(Counted&&) noexcept { ++alive_; }
  Counted& operator=(const Counted&) = default;
  Counted& operator=(Counted&&) noexcept = default;
  ~Counted() { --alive_; }
  static int alive() { return alive_; }

 private:
  static inline int alive_ = 0;
};

// World is a pipeline and everything around it, made anew for each run: fakes, peers, and what the
// outside does.
class World {
 public:
  virtual ~World() = default;
  // The root of the work. Its owner is whoever calls: destroying it is the cancellation.
  virtual async::Task<void> root() = 0;
  // Called when nothing is ready: do the next thing the outside does (feed a peer, close it …).
  // False when there is nothing more to do now; then time passes to the next timer.
  virtual bool act() { return false; }
  // Called after the root was cancelled or has finished, the world still standing: assert what must
  // be gone (EXPECT_…).
  virtual void check_after() {}
};

// Runs the world's root again and again, each time destroying it after one ready node more than the
// time before, from none at all to one run in which it finishes. After each: check_after(), then
// the world is destroyed, and there must be no timer in the heap, nothing on the ready list, no
// Counted and no MemoryStream more than before. Reports with EXPECT_… and says at which node.
//   Returns at how many nodes it was cancelled.
//   `make` is given the loop on which this one run takes place.
size_t cancel_at_every_turn(const std::function<std::unique_ptr<World>(ManualLoop&)>& make);

// Runs one world to the end of its root. False when the root waits and nothing more happens.
bool run_to_end(ManualLoop& loop, World& world, async::Task<void>& root, size_t most_nodes);

}  // namespace egret::test
