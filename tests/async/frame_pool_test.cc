#include "proxy/async/frame_pool.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

namespace egret::async {
namespace {

TEST(FramePool, GivesMemoryThatIsAlignedAndOnesOwn) {
  std::vector<std::pair<char*, size_t>> frames;
  for (const size_t size : {1U, 63U, 64U, 65U, 200U, 8192U, 8193U, 100'000U}) {
    for (int copy = 0; copy < 3; ++copy) {
      auto* frame = static_cast<char*>(allocate_frame(size));
      EXPECT_EQ(reinterpret_cast<uintptr_t>(frame) % alignof(std::max_align_t), 0U);
      std::memset(frame, static_cast<int>(frames.size()), size);
      frames.emplace_back(frame, size);
    }
  }
  for (size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i].first[0], static_cast<char>(i));
    EXPECT_EQ(frames[i].first[frames[i].second - 1], static_cast<char>(i));
    free_frame(frames[i].first, frames[i].second);
  }
}

#if !defined(__SANITIZE_ADDRESS__)
TEST(FramePool, GivesAFreedFrameToTheNextOfItsSize) {
  void* first = allocate_frame(200);
  free_frame(first, 200);
  void* second = allocate_frame(250);  // the same class of 64 bytes
  EXPECT_EQ(first, second);
  void* third = allocate_frame(300);
  EXPECT_NE(second, third);
  free_frame(second, 250);
  free_frame(third, 300);
}
#endif

TEST(FramePool, SurvivesABurst) {
  std::vector<void*> frames;
  std::set<void*> distinct;
  for (int i = 0; i < 5000; ++i) {
    frames.push_back(allocate_frame(128));
    distinct.insert(frames.back());
  }
  EXPECT_EQ(distinct.size(), frames.size());
  for (void* frame : frames) free_frame(frame, 128);
}

}  // namespace
}  // namespace egret::async
