#include "proxy/admin/consent.h"

#include <gtest/gtest.h>

namespace egret::admin {
namespace {

struct Said {
  const char* method;
  const char* query;
  std::vector<const char*> fields;
  std::optional<uint64_t> rate;
};

TEST(CallbackRate, IsSaidOnceOrNotAtAll) {
  const Said all[] = {
      {"GET", "", {}, 0},
      {"POST", "", {"120"}, 120},
      {"GET", "WebHook-Allowed-Rate=60", {}, 60},
      {"GET", "WebHook-Allowed-Rate=%2A", {}, 0},
      {"GET", "WebHook-Allowed-Rate=60", {"60"}, std::nullopt},
      {"POST", "", {"1", "2"}, std::nullopt},
      {"POST", "", {"-1"}, std::nullopt},
      {"POST", "", {"0"}, std::nullopt},
      {"GET", "WebHook-Allowed-Rate=NaN", {}, std::nullopt},
      {"GET", "other=1", {}, std::nullopt},
      {"HEAD", "", {}, std::nullopt},
  };
  for (const Said& each : all) {
    http::RequestHead head;
    head.method = each.method;
    for (const char* value : each.fields) head.fields.add({"webhook-allowed-rate", value});
    const Result<uint64_t> rate = callback_rate(head, each.query);
    EXPECT_EQ(rate.has_value(), each.rate.has_value()) << each.method << each.query;
    if (rate && each.rate) {
      EXPECT_EQ(*rate, *each.rate) << each.query;
    }
  }
}

}  // namespace
}  // namespace egret::admin
