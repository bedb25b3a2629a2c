#include "proxy/async/ready.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace egret::async {
namespace {

struct Node : ReadyNode {
  Node(std::vector<int>& to, int number) : ReadyNode(&Node::run), log(to), id(number) {}
  static void run(ReadyNode& node) {
    auto& self = static_cast<Node&>(node);
    self.log.push_back(self.id);
    if (self.list_to_post_on != nullptr) self.list_to_post_on->post(self);
    if (self.victim != nullptr) self.victim->reset();
  }
  std::vector<int>& log;
  int id;
  ReadyList* list_to_post_on = nullptr;
  std::unique_ptr<Node>* victim = nullptr;
};

struct ReadyListTest : testing::Test {
  ReadyList list;
  std::vector<int> log;
  std::vector<std::unique_ptr<Node>> nodes;
  void post(int count) {
    for (int id = 0; id < count; ++id) {
      nodes.push_back(std::make_unique<Node>(log, id));
      list.post(*nodes.back());
    }
  }
};

TEST_F(ReadyListTest, RunsInTheOrderOfPosting) {
  post(3);
  EXPECT_EQ(list.drain(10), 3U);
  EXPECT_EQ(log, (std::vector<int>{0, 1, 2}));
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.drain(10), 0U);
}

TEST_F(ReadyListTest, PostingTwiceKeepsThePlaceAndRunsOnce) {
  post(2);
  list.post(*nodes[0]);
  list.drain(10);
  EXPECT_EQ(log, (std::vector<int>{0, 1}));
}

TEST_F(ReadyListTest, DrainIsBounded) {
  post(2);
  nodes[0]->list_to_post_on = &list;
  EXPECT_EQ(list.drain(5), 5U);
  EXPECT_EQ(log, (std::vector<int>{0, 1, 0, 0, 0}));
  EXPECT_FALSE(list.empty());
  EXPECT_EQ(list.drain(0), 0U);
}

TEST_F(ReadyListTest, ANodeMayPostItselfAgainWhileItRuns) {
  post(1);
  nodes[0]->list_to_post_on = &list;
  EXPECT_EQ(list.drain(1), 1U);
  EXPECT_TRUE(nodes[0]->posted());
}

TEST_F(ReadyListTest, DestroyingAPostedNodeUnlinksIt) {
  for (const size_t at : {0U, 1U, 2U}) {
    log.clear();
    nodes.clear();
    post(3);
    nodes[at].reset();
    EXPECT_EQ(list.drain(10), 2U);
    EXPECT_EQ(log.size(), 2U);
  }
  EXPECT_TRUE(list.empty());
}

TEST_F(ReadyListTest, ANodeMayDestroyTheNextOneWhileItRuns) {
  post(3);
  nodes[0]->victim = &nodes[1];
  EXPECT_EQ(list.drain(10), 2U);
  EXPECT_EQ(log, (std::vector<int>{0, 2}));
}

TEST_F(ReadyListTest, NodesMayOutliveTheList) {
  auto shorter = std::make_unique<ReadyList>();
  auto first = std::make_unique<Node>(log, 1);
  auto second = std::make_unique<Node>(log, 2);
  shorter->post(*first);
  shorter->post(*second);
  shorter.reset();
  EXPECT_FALSE(first->posted());
  EXPECT_FALSE(second->posted());
}

TEST_F(ReadyListTest, AnOperationInEveryCoroutinesTurnIsCounted) {
  post(1);
  int granted = 0;
  while (!list.has_had_its_turn()) ++granted;
  EXPECT_EQ(granted, 64);
  EXPECT_TRUE(list.has_had_its_turn());
  list.drain(1);  // whoever runs next begins anew
  EXPECT_FALSE(list.has_had_its_turn());
}

}  // namespace
}  // namespace egret::async
