// A rule's `source`: the address of this machine that its connections come from.

#include <gtest/gtest.h>

#include "tests/support/proxy_world.h"

namespace egret::proxy {
namespace {

using test::connect_request;
using test::FarEnd;
using test::Sandbox;

void set_source(Sandbox& gateway, std::string_view source) {
  config::Settings changed = *gateway.services.policy->settings;
  changed.defaults.way.source = policy::Address::parse(source);
  gateway.services.policy =
      std::make_shared<const Policy>(std::make_shared<const config::Settings>(changed),
                                     std::vector<policy::Endpoint>(), gateway.labels);
}

TEST(Source, IsWhereRequestsAndTunnelsAreDialledFrom) {
  for (const std::string& request : {test::get(), connect_request()}) {
    SCOPED_TRACE(request);
    Sandbox gateway;
    set_source(gateway, "127.0.0.2");
    FarEnd sender = gateway.connect();
    sender.send(request);
    ASSERT_EQ(gateway.destinations(), 1U);
    EXPECT_EQ(gateway.connector.dialer().sources().back(), policy::Address::parse("127.0.0.2"));
  }
}

TEST(Source, OfTheOtherFamilyLeavesNoWayThere) {
  Sandbox gateway;
  set_source(gateway, "2001:db8::7");
  FarEnd sender = gateway.connect();
  sender.send(test::get());
  expect_refused(gateway, sender, 502, "destination_unroutable", "destination_ip_unroutable");
  EXPECT_EQ(gateway.destinations(), 0U);
}

}  // namespace
}  // namespace egret::proxy
