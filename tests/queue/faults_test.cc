// What the store promises when its disk does not: a workload is run again and again, and each time
// the next call of its kind fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <ostream>

#include "proxy/queue/queue.h"
#include "tests/queue/faulty_vfs.h"
#include "tests/queue/store_fixture.h"

namespace egret::queue {
namespace {

using namespace std::chrono_literals;
using Call = FaultyVfs::Call;

constexpr int64_t kAllAfter = INT64_MAX;

struct FaultCase {
  const char* name;
  Call call;
  int code;
  int64_t length;           // how many fail
  bool fresh = false;       // the database is made, too
  bool power_lost = false;  // and with it what was not synchronised
};

void PrintTo(const FaultCase& fault, std::ostream* out) { *out << fault.name; }

// Which connection SQLite has opened last.
sqlite3* g_opened = nullptr;
int note_opened(sqlite3* opened, const char** /*error*/, const sqlite3_api_routines* /*api*/) {
  g_opened = opened;
  return SQLITE_OK;
}

// One store's life, with what it has said of it.
class Workload {
 public:
  explicit Workload(std::string path) : path_(std::move(path)) {}

  // False: it does not open.
  bool open() {
    Result<std::unique_ptr<Store>> opened = open_sqlite_store(path_, clock_.wall());
    if (!opened) return false;
    // The log goes back into the database every few commits, so that this meets faults, too.
    constexpr int kPages = 50;
    sqlite3_wal_autocheckpoint(g_opened, kPages);
    queue_ = std::make_unique<Queue>(std::move(*opened), Bounds(), clock_);
    return true;
  }
  void run() {
    for (const char* id : {"a", "b", "c"}) accept(id);
    claim();
    settle("a", State::delivered);
    accept("d");
    settle("b", State::dead);
    turn([&](Store& store) { return store.replay("b", clock_.wall()); });
    accept("e");
    clock_.advance(Bounds().delivered + 1min);
    while (queue_->turn()) {
    }
    accept("f");
  }
  bool accept(const std::string& id) {
    NewDelivery made = new_delivery(id, clock_.wall(), "lane " + id);
    made.body = body_of(id);
    const bool kept = turn([&](Store& store) { return queue_->accept(store, made); });
    if (kept) acknowledged_.push_back(id);
    return kept;
  }
  void close() { queue_.reset(); }

  static std::string body_of(const std::string& id) { return std::string(3000, id[0]) + id; }
  // Those that must be there, whatever has failed.
  [[nodiscard]] const std::vector<std::string>& acknowledged() const { return acknowledged_; }
  [[nodiscard]] const std::map<std::string, State>& settled() const { return settled_; }

 private:
  template <typename Work>
  bool turn(Work work) {
    bool kept = false;
    queue_->submit(
        [&](Store& store) -> Result<> {
          auto done = work(store);
          if (!done) return Unexpected(done.error());
          return {};
        },
        [&](const Result<>& done) { kept = done.has_value(); });
    queue_->turn();
    return kept;
  }
  void claim() {
    Result<std::vector<Claimed>> found;
    const Wanted wanted{.most = 3,
                        .most_bytes = 1U << 20,
                        .ahead = {{.lane = 1, .most = 1}},
                        .ahead_bytes = 1U << 20};
    const bool kept = turn([&](Store& store) {
      found = store.claim(wanted, clock_.wall());
      return found;
    });
    if (kept) claimed_ = std::move(*found);
  }
  void settle(const std::string& id, State state) {
    const auto lent = std::ranges::find(claimed_, id, &Claimed::id);
    if (lent == claimed_.end()) return;
    // Delivered, and forgotten by the sweep: it may be there no more.
    if (state == State::delivered) std::erase(acknowledged_, id);
    const Settled settled{.number = lent->number,
                          .lane = lent->lane,
                          .fence = lent->fence,
                          .state = state,
                          .attempt = Attempt{.began = clock_.wall(), .status = 500},
                          .well = state == State::delivered};
    if (turn([&](Store& store) { return queue_->settle(store, settled); })) settled_[id] = state;
  }

  std::string path_;
  test::ManualClock clock_;
  std::unique_ptr<Queue> queue_;
  std::vector<Claimed> claimed_;
  std::vector<std::string> acknowledged_;
  std::map<std::string, State> settled_;
};

// After all: the store opens, and is what it has said.
void expect_kept(const std::string& path, const Workload& told) {
  {
    Result<std::unique_ptr<Store>> store = open_sqlite_store(path, test::ManualClock().wall());
    ASSERT_TRUE(store) << store.error().detail;
    for (const std::string& id : told.acknowledged()) {
      const Result<std::optional<Content>> content = (*store)->content(id);
      ASSERT_TRUE(content && *content) << id;
      EXPECT_EQ((*content)->body, Workload::body_of(id));
    }
    for (const auto& [id, state] : told.settled()) {
      if (state == State::delivered) continue;
      const Result<std::optional<Shown>> shown = (*store)->show(id);
      ASSERT_TRUE(shown && *shown) << id;
      EXPECT_EQ((*shown)->attempts.size(), 1U) << id;
    }
  }
  expect_sound(path);
}

class Faults : public testing::TestWithParam<FaultCase> {
 protected:
  void SetUp() override { sqlite3_auto_extension(reinterpret_cast<void (*)()>(note_opened)); }
  void TearDown() override { sqlite3_reset_auto_extension(); }
};

// One with nothing in it, made once.
std::string a_store() {
  static const TempFolder folder;
  std::string path = folder.file("queue.db");
  if (folder.names().empty()) {
    EXPECT_TRUE(open_sqlite_store(path, test::ManualClock().wall()));
  }
  return path;
}

// Whether the fault was met.
bool run_with(const FaultCase& fault, int64_t first) {
  const TempFolder folder;
  const std::string path = folder.file("queue.db");
  if (!fault.fresh) std::filesystem::copy_file(a_store(), path);
  FaultyVfs vfs;
  Workload workload(path);
  vfs.arm({.call = fault.call, .code = fault.code, .first = first, .length = fault.length});
  const bool opened = workload.open();
  if (opened) workload.run();
  bool met = false;
  if (fault.length != kAllAfter) {
    met = vfs.disarm();
    // It goes on by itself.
    EXPECT_TRUE(!opened || workload.accept("later"));
    workload.close();
  } else {
    workload.close();
    met = vfs.disarm();
  }
  if (fault.power_lost) vfs.lose_power();
  expect_kept(path, workload);
  const size_t all = fault.length == kAllAfter ? 5 : 6;
  EXPECT_TRUE(met || workload.acknowledged().size() == all);
  return met;
}

TEST_P(Faults, NeitherLoseWhatWasAcknowledgedNorDamageTheStore) {
  constexpr int64_t kMost = 5000;
  int64_t first = 1;
  while (first < kMost && !HasFailure() && run_with(GetParam(), first)) ++first;
  EXPECT_FALSE(HasFailure()) << "with the fault at call " << first;
  EXPECT_GT(first, 1) << "no call was made to fail";
  EXPECT_LT(first, kMost);
}

INSTANTIATE_TEST_SUITE_P(
    Calls, Faults,
    testing::Values(FaultCase{"AWriteOnce", Call::write, SQLITE_IOERR_WRITE, 1},
                    FaultCase{"AFullDiskOnce", Call::write, SQLITE_FULL, 1},
                    FaultCase{"AFullDiskForGood", Call::write, SQLITE_FULL, kAllAfter},
                    FaultCase{"ASyncOnce", Call::sync, SQLITE_IOERR_FSYNC, 1},
                    FaultCase{"SyncsForGood", Call::sync, SQLITE_IOERR_FSYNC, kAllAfter},
                    FaultCase{"ATruncationOnce", Call::truncate, SQLITE_IOERR_TRUNCATE, 1, true},
                    FaultCase{"TruncationsForGood", Call::truncate, SQLITE_IOERR_TRUNCATE,
                              kAllAfter, true},
                    FaultCase{"AReadOnce", Call::read, SQLITE_IOERR_READ, 1},
                    FaultCase{"ReadsForGood", Call::read, SQLITE_IOERR_READ, kAllAfter},
                    FaultCase{"AnOpenOnce", Call::open, SQLITE_CANTOPEN, 1, true},
                    FaultCase{"ARemovalOnce", Call::remove, SQLITE_IOERR_DELETE, 1, true},
                    FaultCase{"AFewOfAnyKind", Call::any, SQLITE_IOERR, 12, true},
                    FaultCase{"EverythingForGood", Call::any, SQLITE_IOERR, kAllAfter},
                    FaultCase{"ALossOfPower", Call::any, SQLITE_IOERR, kAllAfter, true, true}),
    [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace egret::queue
