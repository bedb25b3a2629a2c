#include <benchmark/benchmark.h>

#include <optional>
#include <string_view>

#include "policy/address_registry.h"
#include "policy/url.h"

namespace egret::policy {
namespace {

void parse_url_by_name(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(parse_url("http://hooks.partner.example/billing/invoice?v=2"));
  }
}
BENCHMARK(parse_url_by_name);

void parse_url_by_address(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(parse_url("http://[2606:4700::6810:84e5]:8443/"));
}
BENCHMARK(parse_url_by_address);

void classify_address(benchmark::State& state, std::string_view text) {
  const std::optional<Address> address = Address::parse(text);
  if (!address) {
    state.SkipWithError("the sample address does not parse");
    return;
  }
  const Endpoint endpoint{*address, 443};
  AddressContext context;
  if (const std::optional<Prefix> nat64 = Prefix::parse("64:ff9b::/96")) {
    context.nat64_prefixes.push_back(*nat64);
  }
  const AddressPolicy policy;
  for (auto _ : state) benchmark::DoNotOptimize(classify(endpoint, policy, context));
}
BENCHMARK_CAPTURE(classify_address, public_v4, "93.184.216.34");
BENCHMARK_CAPTURE(classify_address, private_v4, "10.1.2.3");
BENCHMARK_CAPTURE(classify_address, public_v6, "2606:4700::6810:84e5");
BENCHMARK_CAPTURE(classify_address, nat64_of_private_v4, "64:ff9b::a01:203");

}  // namespace
}  // namespace egret::policy
