// The SQLite store by itself, without its syncs' wait where TMPDIR is in memory: what one delivery
// costs its thread.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>

#include "proxy/queue/store.h"

namespace egret::queue {
namespace {

constexpr size_t kTogether = 256;  // in one commit
constexpr Bounds kBounds{.max_deliveries = 100'000'000, .max_size = uint64_t{1} << 40};

class Bench {
 public:
  explicit Bench(int64_t lanes) : lanes_(lanes) {
    std::string path = std::filesystem::temp_directory_path() / "egret-bench-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = path;
    store_ = std::move(open_sqlite_store(folder_ + "/queue.db", now_).value());
  }
  ~Bench() {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  void accept(size_t count) {
    std::vector<NewDelivery> all;
    for (size_t i = 0; i < count; ++i) all.push_back(delivery());
    must(store_->begin());
    for (const NewDelivery& each : all) must(store_->accept(each, kBounds));
    must(store_->commit());
    benchmark::DoNotOptimize(store_->stats());
    benchmark::DoNotOptimize(store_->next_due());
  }
  // Until nothing is due: what was claimed is settled and more of it claimed in one commit.
  void drain(size_t most) {
    std::vector<Claimed> lent;
    do {
      now_ += std::chrono::milliseconds(1);
      must(store_->begin());
      for (const Claimed& each : lent) {
        must(store_->settle(
            {.number = each.number,
             .lane = each.lane,
             .fence = each.fence,
             .state = State::delivered,
             .attempt =
                 Attempt{.began = now_, .total_ms = 3, .status = 200, .address = "203.0.113.7:443"},
             .well = true},
            now_));
      }
      lent = store_->claim({.most = most, .most_bytes = uint64_t{32} << 20}, now_).value();
      must(store_->commit());
      benchmark::DoNotOptimize(store_->stats());
      benchmark::DoNotOptimize(store_->next_due());
    } while (!lent.empty());
  }

 private:
  NewDelivery delivery() {
    const int64_t number = next_++;
    const std::string host = "hooks" + std::to_string(number * 7919 % lanes_) + ".example";
    std::string id = std::to_string(number);
    id.insert(0, 9 - id.size(), '0');
    NewDelivery made{.id = "dlv_" + id + "abcdefghijklmnopqrstuvwxyz",
                     .webhook_id = "msg_" + id + "abcdefghijklmnopqrstuvwxyz",
                     .sender = "shop",
                     .rule = "defaults",
                     .method = "POST",
                     .destination = "https://" + host + ":443/in/of/an/endpoint",
                     .host = host,
                     .lane = "shop\nhttps://" + host + ":443",
                     .width = 32,
                     .idempotency_key = {},
                     .digest = {},
                     .head = std::string(300, 'h'),
                     .body = std::string(1024, 'b'),
                     .accepted = now_,
                     .due = now_};
    return made;
  }
  template <typename T>
  static void must(const Result<T>& result) {
    if (!result) throw std::runtime_error(result.error().detail);
  }

  const int64_t lanes_;
  int64_t next_ = 0;
  WallTime now_ = WallTime(std::chrono::hours(24 * 365 * 50));
  std::string folder_;
  std::unique_ptr<Store> store_;
};

void accept(benchmark::State& state) {
  Bench bench(state.range(0));
  for (auto each : state) bench.accept(kTogether);
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kTogether));
}
BENCHMARK(accept)->Arg(1)->Arg(1000)->Iterations(100);

void drain(benchmark::State& state) {
  Bench bench(state.range(0));
  for (auto each : state) {
    state.PauseTiming();
    for (int i = 0; i < 40; ++i) bench.accept(kTogether);
    state.ResumeTiming();
    bench.drain(64);
  }
  state.SetItemsProcessed(state.iterations() * 40 * static_cast<int64_t>(kTogether));
}
BENCHMARK(drain)->Arg(1)->Arg(1000)->Iterations(2);

}  // namespace
}  // namespace egret::queue
