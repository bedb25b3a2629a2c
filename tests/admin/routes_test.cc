#include "proxy/admin/routes.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "proxy/admin/query.h"

namespace egret::embedded {
extern const std::string_view kOpenapiJson;
}

namespace egret::admin {
namespace {

using nlohmann::json;

TEST(Openapi, HasTheRoutesAndNoOther) {
  std::set<std::string> documented;
  const json document = json::parse(embedded::kOpenapiJson);
  for (const auto& [path, operations] : document["paths"].items()) {
    for (const auto& [method, operation] : operations.items()) {
      if (method == "parameters") continue;
      documented.insert(method + " " + path);
      EXPECT_NE(operation["summary"], "") << path;
      EXPECT_FALSE(operation["responses"].empty()) << path;
    }
  }
  std::set<std::string> routed;
  for (const Route& route : all_routes()) {
    routed.insert(text::to_lower(route.method) + " " + std::string(route.path));
  }
  EXPECT_EQ(documented, routed);
}

TEST(Openapi, SaysWhoMayAsk) {
  const json document = json::parse(embedded::kOpenapiJson);
  const json anybody = json::parse("[{}]");
  for (const Route& route : all_routes()) {
    const json& operation =
        document["paths"][std::string(route.path)][text::to_lower(route.method)];
    EXPECT_EQ(route.access == Access::everybody,
              operation.contains("security") && operation["security"] == anybody)
        << route.path;
  }
}

struct Asked {
  const char* method;
  const char* path;
  const char* route;  // "": none
  const char* parameter;
  const char* allow;
};

TEST(Routes, AreFoundByMethodAndPath) {
  const Asked all[] = {
      {"GET", "/healthz", "/healthz", "", ""},
      {"HEAD", "/healthz", "/healthz", "", ""},
      {"POST", "/healthz", "", "", "GET, HEAD"},
      {"GET", "/healthz/", "", "", ""},
      {"GET", "/", "", "", ""},
      {"GET", "/v1/deliveries", "/v1/deliveries", "", ""},
      {"DELETE", "/v1/deliveries", "", "", "GET, HEAD"},
      {"GET", "/v1/deliveries/dlv_1", "/v1/deliveries/{id}", "dlv_1", ""},
      {"GET", "/v1/deliveries/a%2Fb", "/v1/deliveries/{id}", "a/b", ""},
      {"GET", "/v1/deliveries/a%2", "", "", ""},
      {"GET", "/v1/deliveries/", "", "", ""},
      {"GET", "/v1/deliveries/a/b", "", "", ""},
      {"POST", "/v1/deliveries/replay", "/v1/deliveries/replay", "", ""},
      {"POST", "/v1/deliveries/x/replay", "/v1/deliveries/{id}/replay", "x", ""},
      {"GET", "/v1/deliveries/x/replay", "", "", "POST"},
      {"POST", "/v1/deliveries//replay", "", "", ""},
      {"GET", "/v1/keys/jwks.json", "/v1/keys/jwks.json", "", ""},
      {"GET", "/v1/keys/k/derived", "/v1/keys/{name}/derived", "k", ""},
      {"GET", "/v1/consent/abc", "/v1/consent/{token}", "abc", ""},
      {"POST", "/v1/consent/abc", "/v1/consent/{token}", "abc", ""},
      {"PUT", "/v1/consent/abc", "", "", "GET, HEAD, POST"},
      {"GET", "/v1/consent/", "", "", ""},
  };
  for (const Asked& each : all) {
    const Matched matched = match(each.method, each.path);
    const std::string_view route = matched.route == nullptr ? "" : matched.route->path;
    EXPECT_EQ(route, each.route) << each.method << each.path;
    EXPECT_EQ(matched.parameter, each.parameter) << each.path;
    EXPECT_EQ(matched.allow, each.allow) << each.path;
  }
}

TEST(Query, IsReadOrRefused) {
  const Result<Query> good = parse_query("a=1&b=x%20y+z&c&&", {"a", "b", "c"});
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, (Query{{"a", "1"}, {"b", "x y z"}, {"c", ""}}));
  EXPECT_TRUE(parse_query("", {}));
  for (const char* bad : {"a=1&a=2", "d=1", "a=%", "a=%4", "a=%zz", "%61=1&a=2", "a=% 4"}) {
    EXPECT_FALSE(parse_query(bad, {"a"})) << bad;
  }
}

}  // namespace
}  // namespace egret::admin
