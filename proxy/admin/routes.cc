#include "proxy/admin/routes.h"

#include <array>
#include <optional>

#include "proxy/admin/query.h"

namespace egret::admin {
namespace {

constexpr std::array kRoutes = std::to_array<Route>({
    {"GET", "/healthz", What::health, Access::everybody},
    {"GET", "/readyz", What::readiness, Access::everybody},
    {"GET", "/metrics", What::metrics, Access::operators},
    {"GET", "/v1/openapi.json", What::openapi, Access::everybody},
    {"GET", "/v1/keys/jwks.json", What::jwks, Access::everybody},
    {"GET", "/v1/keys/{name}/derived", What::derived_secret, Access::secrets},
    {"GET", "/v1/deliveries", What::deliveries, Access::operators},
    {"POST", "/v1/deliveries/replay", What::replay_many, Access::changes},
    {"GET", "/v1/deliveries/{id}", What::delivery, Access::operators},
    {"GET", "/v1/deliveries/{id}/content", What::delivery_content, Access::secrets},
    {"POST", "/v1/deliveries/{id}/replay", What::replay, Access::changes},
    {"POST", "/v1/deliveries/{id}/cancel", What::cancel, Access::changes},
    {"GET", "/v1/endpoints", What::endpoints, Access::operators},
    {"POST", "/v1/endpoints/{host}/enable", What::enable, Access::changes},
    {"POST", "/v1/endpoints/{host}/disable", What::disable, Access::changes},
    {"GET", "/v1/consent/{token}", What::consent, Access::everybody},
    {"POST", "/v1/consent/{token}", What::consent, Access::everybody},
});

// The parameter of `path` when it is of the form `pattern`; empty when that has none.
std::optional<std::string> parameter_of(std::string_view pattern, std::string_view path) {
  const size_t open = pattern.find('{');
  if (open == std::string_view::npos) {
    if (pattern == path) return std::string();
    return std::nullopt;
  }
  const std::string_view after = pattern.substr(pattern.find('}') + 1);
  const std::string_view before = pattern.substr(0, open);
  const bool fits = path.size() > before.size() + after.size() && path.starts_with(before) &&
                    path.ends_with(after);
  if (!fits) return std::nullopt;
  path.remove_prefix(before.size());
  path.remove_suffix(after.size());
  if (path.find('/') != std::string_view::npos) return std::nullopt;
  return percent_decoded(path);
}

}  // namespace

std::span<const Route> all_routes() { return kRoutes; }

Matched match(std::string_view method, std::string_view path) {
  if (method == "HEAD") method = "GET";
  Matched matched;
  for (const Route& route : kRoutes) {
    std::optional<std::string> parameter = parameter_of(route.path, path);
    if (!parameter) continue;
    if (route.method == method) {
      matched.route = &route;
      matched.parameter = std::move(*parameter);
      matched.allow.clear();
      return matched;
    }
    if (!matched.allow.empty()) matched.allow += ", ";
    matched.allow += route.method == "GET" ? "GET, HEAD" : route.method;
  }
  return matched;
}

}  // namespace egret::admin
