#include "config/memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "config/sections.h"
#include "tests/config/support.h"

namespace egret::config {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

class GroupMemory : public testing::Test {
 protected:
  GroupMemory()
      : root(std::filesystem::temp_directory_path() /
             ("egret-cgroup-" + std::to_string(getpid()))) {}
  ~GroupMemory() override { std::filesystem::remove_all(root); }
  void limit(const std::string& group, const std::string& text) const {
    std::filesystem::create_directories(root / group);
    std::ofstream(root / group / "memory.max") << text << "\n";
  }
  std::filesystem::path root;
};

TEST_F(GroupMemory, IsTheLeastOnTheWayUp) {
  limit("a", "1048576");
  limit("a/b", "max");
  limit("a/b/c", "4194304");
  limit("other", "1024");
  EXPECT_EQ(group_memory("0::/a/b/c\n", root), kMiB);
  EXPECT_EQ(group_memory("0::/a/b\n", root), kMiB);
  EXPECT_EQ(group_memory("0::/other\n", root), 1024U);
}

TEST_F(GroupMemory, IsNothingWithoutALimit) {
  limit("a", "max");
  limit("b", "none of these");
  limit("c", "0");
  for (const char* text : {"0::/a\n", "0::/b\n", "0::/c\n", "0::/missing\n", "0::/\n", "", "x",
                           "12:memory:/a\n1:name=systemd:/a\n"}) {
    EXPECT_EQ(group_memory(text, root), std::nullopt) << text;
  }
}

TEST_F(GroupMemory, IsFoundBehindOlderHierarchies) {
  limit("a", "2097152");
  EXPECT_EQ(group_memory("12:memory:/x\n0::/a\n", root), 2 * kMiB);
}

// In a container the path may point above what is mounted there: then the mount's top counts.
TEST_F(GroupMemory, OfAPathOutsideIsThatOfTheTop) {
  limit("", "1048576");
  EXPECT_EQ(group_memory("0::/../../elsewhere\n", root), kMiB);
  EXPECT_EQ(group_memory("0::/\n", root), kMiB);
}

TEST(BufferMemory, IsAQuarterOfWhatThereIsAndEnoughForTheWorkers) {
  EXPECT_EQ(buffer_memory_for(1), std::max(usable_memory() / 4, kMiB));
  EXPECT_GE(buffer_memory_for(256), 256 * kMiB);
}

TEST(BufferMemory, IsASizeOrAuto) {
  EXPECT_EQ(must_load("buffer_memory: 64MiB\nworkers: 2\n")->buffer_memory, 64 * kMiB);
  EXPECT_EQ(must_load("buffer_memory: auto\nworkers: 2\n")->buffer_memory, buffer_memory_for(2));
  EXPECT_EQ(must_load("buffer_memory: 2MiB\nworkers: 2\n")->buffer_memory, 2 * kMiB);
}

}  // namespace
}  // namespace egret::config
