#include "proxy/admin/consent.h"

#include <utility>

#include "proxy/admin/query.h"

namespace egret::admin {
namespace {

constexpr std::string_view kRate = "WebHook-Allowed-Rate";

}  // namespace

Result<uint64_t> callback_rate(const http::RequestHead& head, std::string_view query) {
  if (head.method == "HEAD") return Unexpected(Reason::header_invalid, "GET or POST only");
  Result<Query> asked = parse_query(query, {kRate});
  if (!asked) return Unexpected(std::move(asked.error()));
  const auto found = asked->find(kRate);
  const http::Field* field = head.fields.find(kRate);
  if (found == asked->end() && field == nullptr) return 0;
  std::optional<uint64_t> rate;
  const size_t times = head.fields.count(kRate) + (found == asked->end() ? 0 : 1);
  if (times == 1)
    rate = policy::parse_allowed_rate(field == nullptr ? found->second : field->value);
  if (rate) return *rate;
  return Unexpected(Reason::header_invalid,
                    "WebHook-Allowed-Rate: one whole number of requests a minute from 1, or *");
}

async::Task<Response> redeem_callback(queue::Client* client, proxy::Consents* consents,
                                      std::string token, uint64_t per_minute, WallTime wall) {
  const TimePoint now = async::Scheduler::current().now();
  std::optional<proxy::Consents::Redeemed> redeemed =
      consents->redeem(token, per_minute, now, wall);
  if (!redeemed) co_return plain(404, "no such token; it may have been used, or be too old");
  if (client != nullptr) {
    // In force in any case; what cannot be kept is forgotten when Egret ends.
    std::string value = policy::to_text(redeemed->grant);
    const WallTime until = redeemed->grant.until;
    co_await client->remember(std::move(redeemed->name), std::move(value), until);
  }
  co_return plain(200, "agreed");
}

}  // namespace egret::admin
