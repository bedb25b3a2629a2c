#include <sys/stat.h>

#include <fstream>
#include <functional>
#include <sstream>

#include "tests/queue/store_fixture.h"

namespace egret::queue {
namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::string>;

std::string bytes_of(const std::string& path) {
  std::ostringstream all;
  all << std::ifstream(path, std::ios::binary).rdbuf();
  return all.str();
}

std::string why_not(const std::string& path) {
  const Result<std::unique_ptr<Store>> opened = open_sqlite_store(path, test::ManualClock().wall());
  if (opened) return "";
  EXPECT_EQ(opened.error().reason, Reason::queue_unavailable);
  return opened.error().detail;
}

std::string why_not_checked(const std::string& path) {
  const Result<> checked = check_sqlite_store(path);
  return checked ? "" : checked.error().detail;
}

class SqliteStoreReopened : public StoreTest {
 protected:
  SqliteStoreReopened() : StoreTest(Kind::sqlite) {}
  const std::string& path_ = place_.path();
};

TEST_F(SqliteStoreReopened, KeepsEverything) {
  finish("delivered", State::delivered);
  finish("dead", State::dead);
  finish("cancelled", State::cancelled);
  NewDelivery later = new_delivery("later", now());
  later.idempotency_key = "key";
  later.due = now() + 1h;
  accept(later).value();
  const Stats before = store_->stats().value();
  reopen();
  const Stats after = store_->stats().value();
  EXPECT_EQ(after.bytes, before.bytes);
  EXPECT_EQ(after.oldest, before.oldest);
  for (const State state : {State::delivered, State::dead, State::cancelled}) {
    EXPECT_EQ(show(std::string(to_string(state))).delivery.state, state);
  }
  EXPECT_EQ(show("dead").attempts.size(), 1U);
  EXPECT_EQ(store_->content("later").value()->body, later.body);
  EXPECT_TRUE(store_->known(later)->has_value());
  EXPECT_EQ(store_->next_due().value(), later.due);
  store_.reset();
  expect_sound(path_);
}

TEST_F(SqliteStoreReopened, QueuesAgainWhatWasRunning) {
  for (int i = 0; i < 5; ++i) keep("dlv_" + std::to_string(i));
  settle(claim().at(0), State::delivered);
  NewDelivery fifo = new_delivery("fifo_1", now(), "fifo");
  fifo.fifo = true;
  accept(fifo).value();
  fifo.id = "fifo_2";
  accept(fifo).value();
  ASSERT_EQ(claim_ids(), (Ids{"dlv_1", "dlv_2", "fifo_1"}));
  EXPECT_EQ(store_->stats()->running, 3U);
  store_.reset();
  expect_sound(path_);

  clock_.advance(1min);
  open();
  EXPECT_EQ(store_->stats()->running, 0U);
  EXPECT_EQ(store_->next_due().value(), now());
  EXPECT_EQ(show("dlv_1").delivery.state, State::queued);
  EXPECT_EQ(show("dlv_1").delivery.due, now() - 1min);
  keep("other", "a lane of another");
  EXPECT_EQ(claim_ids(), (Ids{"dlv_1", "dlv_2", "fifo_1", "other"}));
  store_.reset();
  expect_sound(path_);
}

TEST_F(SqliteStoreReopened, ALaneThatWaitsForItsScheduleTakesWhatIsDueBefore) {
  keep("later");
  settle(claim().at(0), State::queued, now() + 1h);
  clock_.advance(1min);
  reopen();
  keep("now");
  EXPECT_EQ(claim_ids(), Ids{"now"});
}

TEST_F(SqliteStoreReopened, LanesKeepTheirTurns) {
  for (const char* id : {"a1", "a2"}) keep(id, "a");
  keep("b1", "b");
  clock_.advance(1s);
  for (const Claimed& each : claim(1)) settle(each, State::delivered);
  reopen();
  EXPECT_EQ(claim_ids(1), Ids{"b1"});
}

TEST_F(SqliteStoreReopened, IsNotOpenedWhileOthersMayReadTheFileOrItsLog) {
  store_.reset();
  const std::string log = path_ + "-wal";
  for (const std::string& file : {path_, log}) {
    if (file == log) std::ofstream(file) << std::string(100, 'x');  // no log that would be read
    std::filesystem::permissions(file, std::filesystem::perms(0644));
    const std::string why = "The queue's store " + file +
                            " may be read by others than its owner; chmod 600 " + path_ + "*.";
    EXPECT_EQ(why_not_checked(path_), why);
    EXPECT_EQ(why_not(path_), why);
    std::filesystem::permissions(path_, std::filesystem::perms(0660));
  }
  open();  // the log has gone with who was refused
}

TEST_F(SqliteStoreReopened, IsForOneAtATime) {
  keep("dlv_1");
  const std::string refused = why_not(path_);
  EXPECT_NE(refused.find("another process has it open; only one"), std::string::npos) << refused;
  const std::set<std::string> names = place_.folder().names();
  EXPECT_EQ(why_not_checked(path_), "");
  EXPECT_EQ(place_.folder().names(), names);
  keep("dlv_2");
  store_.reset();
  EXPECT_EQ(why_not(path_), "");
}

TEST(SqliteStoreOpen, MakesAFileThatOnlyItsOwnerReads) {
  const TempFolder folder;
  const std::string path = folder.file("queue.db");
  const mode_t before = umask(0);
  test::ManualClock clock;
  {
    const Result<std::unique_ptr<Store>> store = open_sqlite_store(path, clock.wall());
    ASSERT_TRUE(store);
    EXPECT_TRUE((*store)->begin());
    EXPECT_TRUE((*store)->accept(new_delivery("dlv_1", clock.wall()), {}));
    EXPECT_TRUE((*store)->commit());
    for (const std::string& name : folder.names()) {
      struct stat found {};
      ASSERT_EQ(stat(folder.file(name).c_str(), &found), 0);
      EXPECT_EQ(found.st_mode & 0777U, 0600U) << name;
    }
  }
  umask(before);
}

// What is not one of Egret's is refused by both, and stays as it was.
TEST(SqliteStoreOpen, RefusesAndLeavesWhatIsNotItsOwn) {
  struct Case {
    const char* name;
    const char* sql;  // that makes it; none: it is no database
    const char* why;
    bool checked = true;  // check_sqlite_store sees it, too
  };
  const Case cases[] = {
      {"another's", "CREATE TABLE mine (x); INSERT INTO mine VALUES (1)", "not one of Egret's"},
      {"another's with a log", "PRAGMA journal_mode = WAL; CREATE TABLE mine (x)",
       "not one of Egret's"},
      {"another's version", "PRAGMA user_version = 1", "not one of Egret's"},
      {"another's mark", "PRAGMA application_id = 7", "not one of Egret's"},
      {"later", "PRAGMA application_id = 0x45677274; PRAGMA user_version = 99", "later version"},
      {"negative", "PRAGMA application_id = 0x45677274; PRAGMA user_version = -1", "later version"},
      {"a text", nullptr, "no SQLite database"},
      {"tables lost", "PRAGMA application_id = 0x45677274; PRAGMA user_version = 1",
       "no such table", false},
  };
  for (const Case& each : cases) {
    const TempFolder folder;
    const std::string path = folder.file("queue.db");
    if (each.sql != nullptr) {
      rows(path, each.sql);
    } else {
      std::ofstream(path) << std::string(5000, 't');
    }
    std::filesystem::permissions(path, std::filesystem::perms(0600));
    const std::string before = bytes_of(path);
    if (each.checked) {
      EXPECT_NE(why_not_checked(path).find(each.why), std::string::npos)
          << each.name << ": " << why_not_checked(path);
      EXPECT_EQ(folder.names(), std::set<std::string>{"queue.db"}) << each.name;
    }
    EXPECT_NE(why_not(path).find(each.why), std::string::npos)
        << each.name << ": " << why_not(path);
    if (!each.checked) continue;
    EXPECT_EQ(bytes_of(path), before) << each.name;
    EXPECT_EQ(folder.names(), std::set<std::string>{"queue.db"}) << each.name;
  }
}

TEST(SqliteStoreOpen, SaysThatThereIsNoSuchFolderAndWhatToDo) {
  const TempFolder folder;
  std::ofstream(folder.file("file")).close();
  for (const char* name : {"none", "file"}) {
    const std::string path = folder.file(name) + "/queue.db";
    for (const std::string& why : {why_not(path), why_not_checked(path)}) {
      EXPECT_NE(why.find("store " + path + " cannot be made: there is no folder " +
                         folder.file(name) + "; make it"),
                std::string::npos)
          << why;
    }
  }
  EXPECT_EQ(folder.names(), std::set<std::string>{"file"});
}

TEST(SqliteStoreOpen, SaysThatItIsAFolderAndLeavesItAsItIs) {
  const TempFolder folder;
  const std::string path = folder.file("queue");
  std::filesystem::create_directory(path);
  std::filesystem::permissions(path, std::filesystem::perms(0755));
  for (const std::string& why : {why_not(path), why_not_checked(path)}) {
    EXPECT_NE(
        why.find(path + " is a folder; name a file in it, as in sqlite:" + path + "/queue.db"),
        std::string::npos)
        << why;
  }
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0755));
}

TEST(SqliteStoreCheck, IsWellWithNoneYetAndMakesNone) {
  const TempFolder folder;
  EXPECT_EQ(why_not_checked(folder.file("queue.db")), "");
  EXPECT_TRUE(folder.names().empty());
}

TEST(SqliteStoreCheck, IsWellWithOneOfEgretsAndChangesNothing) {
  const TempFolder folder;
  const std::string path = folder.file("queue?%41#.db");
  ASSERT_EQ(why_not(path), "");
  const std::string before = bytes_of(path);
  EXPECT_EQ(why_not_checked(path), "");
  EXPECT_EQ(bytes_of(path), before);
  EXPECT_EQ(folder.names(), std::set<std::string>{"queue?%41#.db"});
}

TEST(SqliteStoreCheck, IsWellWithAnEmptyFile) {
  const TempFolder folder;
  const std::string path = folder.file("queue.db");
  std::ofstream(path).close();
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  EXPECT_EQ(why_not_checked(path), "");
  EXPECT_EQ(bytes_of(path), "");
  EXPECT_EQ(why_not(path), "");
}

}  // namespace
}  // namespace egret::queue
