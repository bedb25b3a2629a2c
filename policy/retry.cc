#include "policy/retry.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"

namespace egret::policy {
namespace {

using std::chrono::seconds;

constexpr Duration kLongestWait = std::chrono::hours(24 * 365);

// What happened, by whether the request may have arrived.
enum class Class : uint8_t { final, connect, timeout, reset };

Class class_of(Reason reason) {
  switch (reason) {
    case Reason::dns_error:
    case Reason::dns_timeout:
    case Reason::connection_refused:
    case Reason::destination_unroutable:
    case Reason::connection_failed:
    case Reason::connection_timeout:
    case Reason::tls_timeout:
    case Reason::parent_proxy_failed:
      return Class::connect;
    case Reason::response_timeout:
    case Reason::write_timeout:
      return Class::timeout;
    case Reason::connection_terminated:
    case Reason::response_incomplete:
      return Class::reset;
    default:
      return Class::final;
  }
}

bool listed(const Retry& rule, const Attempted& attempted) {
  if (!attempted.failure) return rule.on_status.contains(attempted.status);
  switch (class_of(*attempted.failure)) {
    case Class::connect:
      return rule.on_connect;
    case Class::timeout:
      return rule.on_timeout;
    case Class::reset:
      return rule.on_reset;
    case Class::final:
      return false;
  }
  return false;
}

// In floating point: factor^n of a year is finite, and min() brings it back.
Duration backoff(const Backoff& settings, uint32_t made, double dice) {
  const auto most = static_cast<double>(settings.max.count());
  const double plain = std::min(
      most, static_cast<double>(settings.initial.count()) * std::pow(settings.factor, made - 1));
  const double moved = plain * (1 + settings.jitter * (2 * dice - 1));
  return Duration(static_cast<int64_t>(std::clamp(moved, 0.0, 2 * most)));
}

// A cursor over the text of a date: each step fails for ever once one has.
class Reader {
 public:
  explicit Reader(std::string_view rest) : rest_(rest) {}
  bool literal(std::string_view expected) {
    good_ = good_ && rest_.starts_with(expected);
    if (good_) rest_.remove_prefix(expected.size());
    return good_;
  }
  // Exactly `digits` of them; a first one may be a space where `padded`.
  int number(size_t digits, bool padded = false) {
    std::string_view text = rest_.substr(0, digits);
    if (padded && text.starts_with(' ')) text.remove_prefix(1);
    const std::optional<uint64_t> value = text::parse_decimal(text);
    good_ = good_ && rest_.size() >= digits && value;
    if (!good_) return 0;
    rest_.remove_prefix(digits);
    return static_cast<int>(*value);
  }
  template <size_t N>
  int one_of(const std::array<std::string_view, N>& words) {
    for (size_t i = 0; i < N && good_; ++i) {
      if (!rest_.starts_with(words[i])) continue;
      rest_.remove_prefix(words[i].size());
      return static_cast<int>(i);
    }
    good_ = false;
    return 0;
  }
  [[nodiscard]] bool done() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

constexpr std::array<std::string_view, 7> kDays = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
constexpr std::array<std::string_view, 7> kLongDays = {
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct Date {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
};

void read_time(Reader& reader, Date& date) {
  date.hour = reader.number(2);
  reader.literal(":");
  date.minute = reader.number(2);
  reader.literal(":");
  date.second = reader.number(2);
}

// Sun, 06 Nov 1994 08:49:37 GMT
bool read_imf(std::string_view text, Date& date) {
  Reader reader(text);
  reader.one_of(kDays);
  reader.literal(", ");
  date.day = reader.number(2);
  reader.literal(" ");
  date.month = reader.one_of(kMonths) + 1;
  reader.literal(" ");
  date.year = reader.number(4);
  reader.literal(" ");
  read_time(reader, date);
  reader.literal(" GMT");
  return reader.done();
}

// Sunday, 06-Nov-94 08:49:37 GMT. A year that seems over 50 years ahead is in the past
// (RFC 9110 5.6.7).
bool read_rfc850(std::string_view text, WallTime now, Date& date) {
  Reader reader(text);
  reader.one_of(kLongDays);
  reader.literal(", ");
  date.day = reader.number(2);
  reader.literal("-");
  date.month = reader.one_of(kMonths) + 1;
  reader.literal("-");
  const int two_digits = reader.number(2);
  reader.literal(" ");
  read_time(reader, date);
  reader.literal(" GMT");
  const std::chrono::year_month_day today(std::chrono::floor<std::chrono::days>(now));
  const int this_year = static_cast<int>(today.year());
  date.year = this_year - this_year % 100 + two_digits;
  if (date.year > this_year + 50) date.year -= 100;
  return reader.done();
}

// Sun Nov  6 08:49:37 1994
bool read_asctime(std::string_view text, Date& date) {
  Reader reader(text);
  reader.one_of(kDays);
  reader.literal(" ");
  date.month = reader.one_of(kMonths) + 1;
  reader.literal(" ");
  date.day = reader.number(2, true);
  reader.literal(" ");
  read_time(reader, date);
  reader.literal(" ");
  date.year = reader.number(4);
  return reader.done();
}

// Seconds since 1970, which no four-digit year overflows.
std::optional<seconds> http_date(std::string_view text, WallTime now) {
  Date date;
  if (!read_imf(text, date) && !read_rfc850(text, now, date) && !read_asctime(text, date)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day day(std::chrono::year(date.year),
                                        std::chrono::month(static_cast<unsigned>(date.month)),
                                        std::chrono::day(static_cast<unsigned>(date.day)));
  // 60: a leap second.
  if (!day.ok() || date.hour > 23 || date.minute > 59 || date.second > 60) return std::nullopt;
  return std::chrono::sys_days(day).time_since_epoch() + std::chrono::hours(date.hour) +
         std::chrono::minutes(date.minute) + seconds(date.second);
}

}  // namespace

bool is_connect_failure(Reason reason) { return class_of(reason) == Class::connect; }

std::optional<Duration> wait_before_retry(const Retry& rule, const Attempted& attempted,
                                          uint32_t made, Duration left, double dice) {
  if (made == 0 || made >= rule.attempts || !listed(rule, attempted)) return std::nullopt;
  const Duration wait =
      std::max(backoff(rule.backoff, made, dice), attempted.retry_after.value_or(Duration::zero()));
  if (wait >= left) return std::nullopt;
  return wait;
}

std::optional<Duration> parse_retry_after(std::string_view value, WallTime now) {
  const bool digits = !value.empty() && std::ranges::all_of(value, text::is_digit);
  if (digits) {
    const auto most = std::chrono::duration_cast<seconds>(kLongestWait);
    const auto count = text::parse_decimal(value, static_cast<uint64_t>(most.count()));
    return count ? Duration(seconds(*count)) : kLongestWait;
  }
  const std::optional<seconds> date = http_date(value, now);
  if (!date) return std::nullopt;
  // In seconds: the nanoseconds to some four-digit years do not fit.
  const seconds wait = *date - std::chrono::floor<seconds>(now.time_since_epoch());
  return std::clamp(wait, seconds::zero(), std::chrono::duration_cast<seconds>(kLongestWait));
}

}  // namespace egret::policy
