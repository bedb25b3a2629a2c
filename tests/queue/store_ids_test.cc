// An id of Egret's form has its delivery's number in it: no index of ids is needed to find it.
#include "tests/queue/store_fixture.h"

namespace egret::queue {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kSecret = "0123456789abcdefghjkmnpq";

TEST(DeliveryId, HasItsNumber) {
  for (const int64_t number : {int64_t{0}, int64_t{31}, int64_t{32}, int64_t{1'800'000'000'000'000},
                               (int64_t{1} << 55) - 1}) {
    const std::string id = delivery_id(number, kSecret);
    EXPECT_EQ(id.size(), 39U);
    EXPECT_TRUE(id.starts_with("dlv_") && id.ends_with(kSecret)) << id;
    EXPECT_EQ(number_in(id), number) << id;
  }
  EXPECT_LT(delivery_id(31, kSecret), delivery_id(32, kSecret)) << "they stand in order";
}

TEST(DeliveryId, OfAnotherFormHasNone) {
  const std::string id = delivery_id(1'800'000'000'000'000, kSecret);
  const std::string others[] = {"",
                                "dlv_",
                                id.substr(0, id.size() - 1),
                                id + "0",
                                "msg_" + id.substr(4),
                                "dlv_l" + id.substr(5),
                                "dlv_A" + id.substr(5),
                                "dlv_-" + id.substr(5)};
  for (const std::string& other : others) EXPECT_EQ(number_in(other), std::nullopt) << other;
}

class StoreIds : public StoreTest {
 protected:
  Accepted keep_as(int64_t number, std::string_view secret = kSecret, bool fifo = false) {
    NewDelivery made = new_delivery(delivery_id(number, secret), now());
    made.fifo = fifo;
    return accept(made).value();
  }
  bool is_shown(const std::string& id) {
    const Result<std::optional<Shown>> shown = store_->show(id);
    EXPECT_TRUE(!shown || !*shown || (*shown)->delivery.id == id);
    return shown && shown->has_value();
  }
};
EGRET_BOTH_STORES(StoreIds);

TEST_P(StoreIds, OneIsFoundByTheIdThatItWasAcceptedUnder) {
  const std::string first = keep_as(1000).id;
  const std::string same_time = keep_as(1000, "0123456789abcdefghjkmnpr").id;
  // PostgreSQL finds it by all of its id.
  EXPECT_EQ(number_in(same_time) == number_in(first), GetParam() == Kind::postgres);
  const std::string clock_set_back = keep_as(10, "0123456789abcdefghjkmnps").id;
  EXPECT_EQ(first, delivery_id(1000, kSecret));
  EXPECT_TRUE(same_time.ends_with("pr"));
  EXPECT_TRUE(clock_set_back.ends_with("ps"));
  for (const std::string& id : {first, same_time, clock_set_back}) {
    EXPECT_TRUE(is_shown(id)) << id;
    EXPECT_TRUE(store_->content(id).value().has_value()) << id;
  }
  EXPECT_FALSE(is_shown(delivery_id(1000, "0123456789abcdefghjkmnpz")))
      << "its number is not enough";
  EXPECT_FALSE(is_shown(delivery_id(999, kSecret)));
  EXPECT_EQ(*within([&] { return store_->cancel(same_time, now()); }), State::queued);
  EXPECT_EQ(store_->show(first).value()->delivery.state, State::queued);
  close_soundly();
}

// What is in order is so whatever the clock says, and after a new start.
TEST_P(StoreIds, InOrderOfAcceptanceThoughTheClockWasSetBack) {
  std::vector<std::string> ids;
  for (const int64_t time : {3000, 2000, 1000}) {
    ids.push_back(keep_as(time, kSecret, true).id);
    reopen();
  }
  const Page page = store_->list({}).value();
  ASSERT_EQ(page.deliveries.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(page.deliveries[i].id, ids[2 - i]);
    const std::vector<Claimed> claimed = claim();
    ASSERT_EQ(claimed.size(), 1U);
    EXPECT_EQ(claimed[0].id, ids[i]);
    settle(claimed[0], State::delivered);
  }
}

class SqlitePages : public StoreTest {};
INSTANTIATE_TEST_SUITE_P(Sqlite, SqlitePages, testing::Values(Kind::sqlite));

// However far apart their numbers are.
TEST_P(SqlitePages, APageLooksAtABoundedNumberOfThem) {
  constexpr int64_t kMany = 20'050;
  EXPECT_TRUE(store_->begin());
  for (int64_t i = 0; i < kMany; ++i) {
    EXPECT_TRUE(store_->accept(new_delivery(delivery_id(i * 1'000'000, kSecret), now()), bounds_));
  }
  EXPECT_TRUE(store_->commit());
  Page page = store_->list({.sender = "nobody"}).value();
  EXPECT_TRUE(page.deliveries.empty());
  ASSERT_TRUE(page.next.has_value());
  EXPECT_EQ(*page.next, 50'000'000);
  page = store_->list({.sender = "nobody", .before = *page.next}).value();
  EXPECT_TRUE(page.deliveries.empty());
  EXPECT_EQ(page.next, std::nullopt);
  page = store_->list({.before = 50'000'000, .limit = 50}).value();
  EXPECT_EQ(page.deliveries.size(), 50U);
}

}  // namespace
}  // namespace egret::queue
