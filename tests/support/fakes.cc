#include "tests/support/fakes.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "policy/judge.h"
#include "proxy/async/wait.h"

namespace egret::test {
namespace {

// Counts what is under way; the coroutine's frame holds it, so that cancelling counts down.
class UnderWay {
 public:
  explicit UnderWay(int& count) : count_(count) { ++count_; }
  ~UnderWay() { --count_; }
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;

 private:
  int& count_;
};

policy::Address address(std::string_view text) {
  const auto parsed = policy::Address::parse(text);
  if (!parsed) throw std::invalid_argument("not an address: " + std::string(text));
  return *parsed;
}

// The scripts before the last are used up; the last stays.
template <typename Script>
Script take_next(std::deque<Script>& scripts) {
  Script next = scripts.front();
  if (scripts.size() > 1) scripts.pop_front();
  return next;
}

}  // namespace

policy::Endpoint endpoint(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) throw std::invalid_argument("no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  uint16_t port = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) {
    throw std::invalid_argument("not a port: " + std::string(digits));
  }
  return {address(host), port};
}

policy::PermittedAddresses permitted(std::initializer_list<std::string_view> endpoints) {
  policy::Rule anything;
  for (const char* prefix : {"0.0.0.0/0", "::/0"}) {
    anything.addresses.allow.push_back(*policy::Prefix::parse(prefix));
  }
  std::vector<policy::Address> candidates;
  for (const std::string_view text : endpoints) {
    const policy::Address candidate = endpoint(text).address;
    // An exact entry permits whatever the registries say.
    anything.addresses.allow.push_back(
        {candidate, static_cast<uint8_t>(candidate.is_v4() ? 32 : 128)});
    candidates.push_back(candidate);
  }
  const policy::Judge judge(policy::Mode::enforce, anything, {}, {});
  auto result = judge.permit(anything, endpoint(*endpoints.begin()).port, candidates);
  if (!result) throw std::invalid_argument(result.error().detail);
  return *result;
}

void FakeDialer::script(std::string_view endpoint, Script script) {
  scripts_[test::endpoint(endpoint).to_string()].push_back(script);
}

FakeDialer::Script FakeDialer::next_script(const std::string& endpoint) {
  const auto found = scripts_.find(endpoint);
  return found == scripts_.end() ? Script{} : take_next(found->second);
}

async::Task<Result<std::unique_ptr<net::Stream>>> FakeDialer::dial(
    policy::PermittedAddress address, std::optional<policy::Address> source, Deadline deadline) {
  const UnderWay under_way(dialling_);
  const std::string where = address.endpoint().to_string();
  dialled_.push_back(where);
  sources_.push_back(source);
  const Script script = next_script(where);
  const TimePoint now = async::Scheduler::current().now();
  const Deadline comes =
      script.what == Script::What::hang ? kNever : deadline_after(now, script.after);
  const Deadline end = std::min(comes, deadline);
  co_await async::sleep_until(end);
  if (comes > deadline) co_return Unexpected(Reason::connection_timeout, where);
  if (script.what == Script::What::fail) co_return Unexpected(script.reason, where);
  ScriptedConnection made = make_scripted_connection(script.capacity);
  made.stream->faults() = script.faults;
  accepted_.push_back({where, made.peer});
  co_return std::unique_ptr<net::Stream>(std::move(made.stream));
}

async::Task<Result<net::Connection>> FakeConnector::connect(policy::PermittedAddresses addresses,
                                                            std::optional<policy::Address> source,
                                                            Deadline deadline) {
  asked_.push_back(addresses);
  return happy_eyeballs_.connect(std::move(addresses), source, deadline);
}

void FakeResolver::answer(std::string_view name, std::initializer_list<std::string_view> addresses,
                          Duration after) {
  net::Answer answer{.addresses = {}, .ttl = std::chrono::seconds(60)};
  for (const std::string_view text : addresses) answer.addresses.push_back(address(text));
  script(name, std::move(answer), after);
}

void FakeResolver::script(std::string_view name, Result<net::Answer> result, Duration after) {
  scripts_[std::string(name)].push_back({std::move(result), after});
}

void FakeResolver::fail(std::string_view name, Reason reason, Duration after) {
  script(name, Unexpected(reason, std::string(name)), after);
}

void FakeResolver::hang(std::string_view name) { fail(name, Reason::dns_timeout, Duration::max()); }

FakeResolver::Script FakeResolver::next_script(const std::string& name) {
  const auto found = scripts_.find(name);
  if (found == scripts_.end()) return {Unexpected(Reason::name_not_found, name)};
  return take_next(found->second);
}

size_t FakeResolver::queries(std::string_view name) const {
  return static_cast<size_t>(std::count(asked_.begin(), asked_.end(), name));
}

async::Task<Result<net::Answer>> FakeResolver::resolve(std::string name, Deadline deadline) {
  const UnderWay under_way(resolving_);
  asked_.push_back(name);
  const Script script = next_script(name);
  const Deadline comes = deadline_after(async::Scheduler::current().now(), script.after);
  const Deadline end = std::min(comes, deadline);
  co_await async::sleep_until(end);
  if (comes > deadline) co_return Unexpected(Reason::dns_timeout, name);
  co_return script.result;
}

}  // namespace egret::test
