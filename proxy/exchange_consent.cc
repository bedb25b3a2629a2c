// Whether the destination agrees to the request, where the rule says that it must.
#include "proxy/consent_desk.h"
#include "proxy/exchange.h"

namespace egret::proxy {

// The request has a route. Errors: consent_missing, rate_limited.
async::Task<Result<>> Exchange::agree() {
  const policy::Rule& rule = *admission_.rule;
  // The requests in an intercepted tunnel are looked at one by one; an opaque one cannot ask.
  const bool opaque = admission_.connect && rule.connect == policy::ConnectMode::tunnel;
  if (admission_.connect && !opaque) co_return Result<>();
  ConsentDesk::Request request{
      .policy = policy_, .rule = &rule, .url = admission_.url, .total = total_};
  if (opaque) {
    request.url.scheme = policy::Scheme::https;
  } else {
    request.addresses = &route_->addresses;
  }
  std::optional<ConsentDesk::Refused> refused =
      co_await services_.consent->admit(std::move(request));
  if (!refused) co_return Result<>();
  record_.retry_after = refused->retry_after;
  co_return Unexpected(std::move(refused->failure));
}

}  // namespace egret::proxy
