#include "proxy/commands/file_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

namespace egret::commands {
namespace {

namespace fs = std::filesystem;

// A folder of the test's own.
struct FileWatchTest : testing::Test {
  FileWatchTest() { fs::create_directories(folder); }
  ~FileWatchTest() override { fs::remove_all(folder); }
  std::string write(const std::string& name, std::string_view text) const {
    std::ofstream(folder / name) << text;
    return (folder / name).string();
  }
  const fs::path folder =
      fs::path(testing::TempDir()) /
      ("egret-watch-" +
       std::to_string(std::chrono::system_clock::now().time_since_epoch().count()));
  const WallTime long_ago{};
  // From which on nothing has changed.
  const WallTime later = std::chrono::system_clock::now() + std::chrono::hours(1);
};

TEST_F(FileWatchTest, TellsAChangeOnceItHasSettledAndOnce) {
  const std::string one = write("one", "a");
  const std::string two = write("two", "a");
  FileWatch watch({one, two, one}, later);
  EXPECT_EQ(watch.settled_change(), "");
  write("two", "bb");
  EXPECT_EQ(watch.settled_change(), "") << "it may still be written";
  EXPECT_EQ(watch.settled_change(), two);
  EXPECT_EQ(watch.settled_change(), "");
}

TEST_F(FileWatchTest, WaitsForAllFilesOfAPair) {
  const std::string certificate = write("certificate", "a");
  const std::string key = write("key", "a");
  FileWatch watch({certificate, key}, later);
  write("certificate", "bb");
  EXPECT_EQ(watch.settled_change(), "");
  write("key", "bb");
  EXPECT_EQ(watch.settled_change(), "");
  EXPECT_NE(watch.settled_change(), "");
  EXPECT_EQ(watch.settled_change(), "") << "both are one change";
}

TEST_F(FileWatchTest, SeesRenamingLinksAndAbsence) {
  const std::string file = write("file", "a");
  const std::string other = write("other", "a");
  const std::string link = (folder / "link").string();
  fs::create_symlink("file", link);
  FileWatch watch({file, link}, later);
  fs::rename(other, file);
  EXPECT_EQ(watch.settled_change(), "");
  EXPECT_EQ(watch.settled_change(), file);
  fs::remove(link);
  EXPECT_EQ(watch.settled_change(), "");
  EXPECT_EQ(watch.settled_change(), link);
}

TEST_F(FileWatchTest, WhatChangedWhileItWasReadIsAChange) {
  const std::string file = write("file", "a");
  FileWatch watch({file}, long_ago);
  EXPECT_EQ(watch.settled_change(), file);
  EXPECT_EQ(watch.settled_change(), "");
}

}  // namespace
}  // namespace egret::commands
