#include "tests/support/proxy_simulation_stage.h"

#include <algorithm>

#include "base/text.h"

namespace egret::test::sim {

std::string content_of(std::string_view token, size_t size) {
  constexpr size_t kUnit = 64;
  const std::string unit = std::string(token) + std::string(kUnit - token.size(), '.');
  std::string out;
  out.reserve(size + kUnit);
  while (out.size() < size) out += unit;
  out.resize(size);
  return out;
}

bool is_content(std::string_view token, size_t position, std::string_view piece) {
  return content_of(token, position + piece.size()).compare(position, piece.size(), piece) == 0;
}

std::vector<std::string_view> tokens_in(std::string_view text) {
  std::vector<std::string_view> found;
  for (size_t at = text.find("tok"); at != std::string_view::npos; at = text.find("tok", at + 3)) {
    const std::string_view token = text.substr(at, kTokenSize);
    if (token.size() < kTokenSize || token.back() != 'x') continue;
    if (found.empty() || found.back() != token) found.push_back(token);
  }
  return found;
}

MessageReader::Event MessageReader::next(Kind kind) {
  if (!in_body_) {
    const size_t end = bytes_.find("\r\n\r\n");
    if (end == std::string::npos) return Event::none;
    message_ = Message();
    message_.head = bytes_.substr(0, end + 4);
    message_.start = message_.head.substr(0, message_.head.find("\r\n"));
    bytes_.erase(0, end + 4);
    decoder_ = http::BodyDecoder(framing_of(message_, kind));
    in_body_ = true;
    return Event::head;
  }
  size_t used = 0;
  while (!decoder_.done() && used < bytes_.size()) {
    const auto step = decoder_.next(std::string_view(bytes_).substr(used));
    if (!step) return Event::bad;
    message_.body += step->content;
    used += step->consumed;
  }
  bytes_.erase(0, used);
  if (!decoder_.done()) return Event::none;
  in_body_ = false;
  message_.whole = true;
  return Event::whole;
}

Request& Stage::make_request(size_t sender) {
  Request& request = requests.emplace_back();
  static constexpr std::string_view kHex = "0123456789abcdef";
  request.token = "tok";
  for (int digit = 0; digit < 8; ++digit) request.token += kHex[dice.below(16)];
  request.token += 'x';
  request.sender = sender;
  by_token_[request.token] = &request;
  return request;
}

Request* Stage::find(std::string_view token) {
  const auto found = by_token_.find(token);
  return found == by_token_.end() ? nullptr : found->second;
}

void Stage::wrong(std::string what) {
  note("WRONG: " + what);
  violations.push_back(std::move(what));
}

void Stage::note(std::string what) {
  const auto since_start = loop.now().time_since_epoch() - std::chrono::hours(1000);
  trace.push_back(
      std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(since_start).count()) +
      "us " + std::move(what));
}

void Stage::begin_era(Config config) {
  if (!eras_.empty()) eras_.back().until = loop.now();
  eras_.push_back({std::move(config)});
}

bool Stage::permitted_since(TimePoint when, const Place& place, Who who) const {
  using Asked = Universe::Asked;
  const Asked asked = hostile && who == Who::anyone ? Asked::somehow : Asked::by_name;
  return std::ranges::any_of(eras_, [&](const Era& era) {
    return era.until >= when && (era.config.strangers || who != Who::stranger) &&
           universe.permits(era.config, place, asked);
  });
}

Duration Stage::longest_exchange() const {
  Duration longest{};
  for (const Era& era : eras_) longest = std::max(longest, era.config.exchange);
  return longest;
}

int Stage::most_attempts() const {
  int most = 0;
  for (const Era& era : eras_) most = std::max(most, era.config.attempts);
  return most;
}

int Stage::most_redirects() const {
  int most = 0;
  for (const Era& era : eras_) most = std::max(most, era.config.redirects);
  return most;
}

bool Stage::cuts_at(size_t size) const {
  return std::ranges::any_of(eras_, [size](const Era& era) { return era.config.largest == size; });
}

}  // namespace egret::test::sim
