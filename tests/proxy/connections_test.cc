// A listener's connections: how many, and who makes room when all places are taken.

#include <gtest/gtest.h>

#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;
using test::expect_refused;
using test::FarEnd;
using test::get;
using test::Kind;
using test::kOk;
using test::Sandbox;

TEST(Connections, AreAtMostSoManyToAListener) {
  Sandbox gateway;
  gateway.set_max_connections(2);
  FarEnd first = gateway.connect();
  FarEnd second = gateway.connect();
  FarEnd third = gateway.connect();
  third.send(get());
  expect_refused(gateway, third, 503, "connection_limit", "connection_limit_reached");
  EXPECT_TRUE(third.received_eof());
  EXPECT_EQ(gateway.destinations(), 0U) << "its request is not read";
  EXPECT_FALSE(first.ended());

  second.close();
  FarEnd fourth = gateway.connect();
  fourth.send(get());
  EXPECT_EQ(gateway.destinations(), 1U);
  FarEnd elsewhere = gateway.connect({.listener = "unix:/run/egret.sock"});
  EXPECT_FALSE(elsewhere.ended());
}

// Whether it reads, writes, or does neither.
TEST(Connections, ThatAreTurnedAwayHoldNothingForLong) {
  Sandbox gateway;
  gateway.set_max_connections(0);
  FarEnd silent = gateway.connect();
  FarEnd deaf = gateway.connect({.capacity = 10});
  FarEnd loud = gateway.connect();
  loud.send(std::string(1 << 20, 'x'));
  gateway.loop.advance(2s);
  EXPECT_EQ(gateway.serving_now(), 1U) << "the one that has not taken its answer";
  gateway.loop.advance(10s);
  EXPECT_EQ(gateway.serving_now(), 0U);
  gateway.expect_at_rest();
}

TEST(Connections, ThatWaitedLongestMakeRoomForTheNext) {
  Sandbox gateway("defaults: {timeouts: {idle: 1m}}\n");
  gateway.set_max_connections(3);
  FarEnd used_first = gateway.connect();
  FarEnd never_used = gateway.connect();
  FarEnd used_last = gateway.connect();
  for (FarEnd* each : {&used_first, &used_last}) {
    gateway.loop.advance(2s);
    each->send(get());
    gateway.destination().send(kOk);
    EXPECT_EQ(each->take(Kind::answer).status(), 200);
  }
  gateway.loop.advance(Sessions::kLeastIdle);

  FarEnd fourth = gateway.connect();
  EXPECT_TRUE(never_used.ended()) << "open for longest without asking for anything";
  EXPECT_FALSE(used_first.ended());
  FarEnd fifth = gateway.connect();
  EXPECT_TRUE(used_first.ended());
  EXPECT_FALSE(used_last.ended());
  for (FarEnd* each : {&fourth, &fifth, &used_last}) {
    each->send(get());
    gateway.destination().send(kOk);
    EXPECT_EQ(each->take(Kind::answer).status(), 200);
    each->close();
  }
  gateway.pool.clear();
  gateway.expect_at_rest();
}

TEST(Connections, KeepTheirPlaceWhileARequestIsUnderWay) {
  Sandbox gateway("defaults: {timeouts: {idle: 1m, response: 1m, total: 1m}}\n");
  gateway.set_max_connections(3);
  FarEnd waiting = gateway.connect();
  waiting.send(get());
  FarEnd within_its_head = gateway.connect();
  within_its_head.send("GET http://hooks.acme.io/in HTTP/1.1\r\n");
  FarEnd just_now = gateway.connect();
  gateway.loop.advance(Sessions::kLeastIdle - 1ns);

  FarEnd refused = gateway.connect();
  expect_refused(gateway, refused, 503, "connection_limit", "connection_limit_reached");
  gateway.loop.advance(1ns);
  FarEnd taken = gateway.connect();
  EXPECT_FALSE(taken.ended());
  EXPECT_TRUE(just_now.ended()) << "idle for long enough now";
  FarEnd refused_too = gateway.connect();
  expect_refused(gateway, refused_too, 503, "connection_limit", "connection_limit_reached");

  gateway.destination().send(kOk);
  EXPECT_EQ(waiting.take(Kind::answer).status(), 200);
  within_its_head.send("Host: x\r\n\r\n");
  gateway.destination().send(kOk);
  EXPECT_EQ(within_its_head.take(Kind::answer).status(), 200);
}

TEST(Connections, MakeRoomOnTheirOwnListenerOnly) {
  Sandbox gateway("defaults: {timeouts: {idle: 1m}}\n");
  gateway.set_max_connections(1);
  FarEnd elsewhere = gateway.connect({.listener = "unix:/run/egret.sock"});
  FarEnd busy = gateway.connect();
  busy.send("GET ");
  gateway.loop.advance(5s);
  FarEnd refused = gateway.connect();
  expect_refused(gateway, refused, 503, "connection_limit", "connection_limit_reached");
  EXPECT_FALSE(elsewhere.ended());
}

// The request that comes in the moment in which its connection was chosen is answered, the last.
TEST(Connections, ThatMakeRoomAnswerTheRequestThatHasCome) {
  Sandbox gateway("defaults: {timeouts: {idle: 1m}}\n");
  gateway.set_max_connections(1);
  FarEnd old = gateway.connect();
  gateway.loop.advance(2s);
  old.peer().feed(get());
  FarEnd fresh = gateway.connect();
  gateway.destination().send(kOk);
  EXPECT_EQ(old.take(Kind::answer).status(), 200);
  EXPECT_TRUE(old.received_eof());
  EXPECT_FALSE(fresh.ended());
}

}  // namespace
}  // namespace egret::proxy
