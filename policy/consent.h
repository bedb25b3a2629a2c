#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "policy/breaker.h"
#include "policy/url.h"

namespace egret::policy {

// How a destination is asked whether it agrees to many requests.
enum class ConsentScheme : uint8_t {
  none,         // it is not
  cloudevents,  // OPTIONS, as CloudEvents' "HTTP 1.1 Web Hooks for Event Delivery" has it
  challenge     // GET with a token that must come back, as WebSub verifies a subscriber's intent
};

// From which rate on a destination must have agreed, and how it is asked.
struct Consent {
  ConsentScheme scheme = ConsentScheme::none;
  Rate above{std::chrono::milliseconds(600), 100};  // within that, nothing is asked
  Duration valid = std::chrono::hours(24 * 30);     // how long a yes holds
  std::string origin;    // who asks (WebHook-Request-Origin): a name in lower case; cloudevents
  std::string callback;  // where the world reaches the admin listener's callback route, with "/" at
                         // its end; empty: destinations are offered none
  [[nodiscard]] bool asks() const { return scheme != ConsentScheme::none; }
  bool operator==(const Consent&) const = default;
};

// What a destination has agreed to.
struct Grant {
  WallTime until{};
  uint64_t per_minute = 0;  // 0: any rate
  bool operator==(const Grant&) const = default;
};
// As the queue's store keeps it. Nothing: it is none.
std::string to_text(const Grant& grant);
std::optional<Grant> parse_grant(std::string_view text);
// In no minute more than was granted, a tenth of it at once.
Rate rate_of(const Grant& grant);

// Under which name the store keeps what the destination of `url` has agreed to.
std::string consent_name(const Consent& rule, const Url& url);

// `WebHook-Allowed-Rate`: a whole number of requests a minute, or "*", which is 0. Nothing: it is
// neither. What is beyond any traffic is any.
std::optional<uint64_t> parse_allowed_rate(std::string_view text);
// `WebHook-Request-Rate`: what the rule's rate lets through in a minute; 0: it has none, and
// nothing is asked for.
uint64_t rate_to_ask_for(const Rate& rate);

// What came of asking.
struct Asked {
  enum class What : uint8_t { granted, refused, failed } what = What::failed;
  uint64_t per_minute = 0;  // of granted; 0: any rate
  std::string why;          // otherwise, the end of a sentence that begins with "it"
};
// `origins`, `rates`: the answer's WebHook-Allowed-Origin and -Rate fields. Granted by a 2xx with
// exactly one origin, which is `origin` or "*", and at most one rate, which is good.
Asked read_webhook_answer(int status, std::span<const std::string_view> origins,
                          std::span<const std::string_view> rates, std::string_view origin);
// Granted by a 2xx whose content is the token and nothing else.
Asked read_challenge_answer(int status, std::string_view content, std::string_view token);

// `url` with what WebSub's verification of intent appends (W3C WebSub 5.3), `token` as the
// challenge. There is no topic: a destination agrees to whatever the rule lets through.
Url challenge_url(const Url& url, std::string_view token, Duration valid);

// What is known of one destination's consent. Pure: the caller has the time.
class ConsentState {
 public:
  static constexpr Duration kFirstBackoff = std::chrono::minutes(1);  // doubled each time
  static constexpr Duration kLongestBackoff = std::chrono::hours(1);
  static constexpr Duration kLookAgain = std::chrono::seconds(10);

  // What the caller is able to do.
  struct Able {
    bool look = false;  // in a store
    bool ask = false;   // the destination
  };
  struct Verdict {
    enum class Step : uint8_t {
      pass,
      over_grant,  // it has agreed to fewer
      missing,     // it has not agreed, and this is over what needs no consent
      turn         // the same, but the caller is to find out, and then to say so by ended()
    } step = Step::pass;
    Duration wait{};       // of over_grant and missing: until a request may pass
    Duration ask_again{};  // of missing: until it may be asked; zero: it is being asked
    Able turn{};           // what is to be done
  };
  Verdict enter(const Consent& rule, Able able, TimePoint now, WallTime wall);

  // It agrees, whoever has found out.
  void granted(const Grant& grant);
  // A turn is over. Not asked: it was only looked up, and there was nothing.
  enum class End : uint8_t { granted, not_asked, denied };
  void ended(End end, TimePoint now);

  [[nodiscard]] bool busy() const { return busy_; }
  // Nothing would be lost with it.
  [[nodiscard]] bool at_rest(TimePoint now, WallTime wall) const;

 private:
  RateState above_;
  RateState rate_;  // of grant_
  std::optional<Grant> grant_;
  uint32_t denials_ = 0;  // in a row
  TimePoint ask_at_ = TimePoint::min();
  TimePoint look_at_ = TimePoint::min();
  TimePoint forgotten_at_ = TimePoint::min();
  bool busy_ = false;
};

}  // namespace egret::policy
