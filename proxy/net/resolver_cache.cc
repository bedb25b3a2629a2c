#include "proxy/net/resolver_cache.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "proxy/async/race.h"
#include "proxy/async/task_set.h"
#include "proxy/async/wait.h"

namespace egret::net {
namespace {

struct Flight;

// One resolve() that waits for a flight. Lives in its frame; leaves the flight when that dies.
struct Waiter {
  Waiter() = default;
  ~Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  Flight* flight = nullptr;  // until it has landed
  async::Event landed;
  std::optional<Result<Answer>> result;
};

// One query upstream and those who wait for it.
struct Flight {
  std::vector<Waiter*> waiters;
  bool remember = true;    // false once the cache was cleared under it
  async::Event abandoned;  // nobody waits any more
};

Waiter::~Waiter() {
  if (flight == nullptr) return;
  std::erase(flight->waiters, this);
  if (flight->waiters.empty()) flight->abandoned.set();
}

async::Task<Unit> until_set(async::Event& event) {
  co_await event.wait(kNever);
  co_return Unit{};
}

bool is_negative(Reason reason) {
  return reason == Reason::name_not_found || reason == Reason::name_has_no_address;
}

}  // namespace

struct CachingResolver::State {
  struct Entry {
    std::string name;
    Result<Answer> result;
    TimePoint expires;
  };
  using Entries = std::list<Entry>;

  State(Resolver& resolver, CacheLimits cache_limits) : upstream(resolver), limits(cache_limits) {}

  void join(const std::string& name, Waiter& waiter);
  // The query itself. Owned by `queries`, so that it outlives the waiter that began it.
  async::Task<void> fly(std::string name, std::shared_ptr<Flight> flight);
  void land(const std::string& name, Flight& flight, const Result<Answer>& result);
  void take_off_list(const std::string& name, const Flight& flight);
  void remember(const std::string& name, const Result<Answer>& result);
  void forget(Entries::iterator entry);

  Resolver& upstream;
  CacheLimits limits;
  Entries entries;                                                  // most recently used first
  std::unordered_map<std::string_view, Entries::iterator> by_name;  // keys lie in `entries`
  std::unordered_map<std::string, std::shared_ptr<Flight>> flights;
  uint64_t hits = 0;
  uint64_t misses = 0;
  async::TaskSet queries;  // ends first: its tasks use all of the above
};

void CachingResolver::State::join(const std::string& name, Waiter& waiter) {
  std::shared_ptr<Flight>& slot = flights[name];
  // An abandoned flight is on its way out and brings nothing.
  const bool begin = slot == nullptr || slot->abandoned.is_set();
  if (begin) slot = std::make_shared<Flight>();
  std::shared_ptr<Flight> flight = slot;
  flight->waiters.push_back(&waiter);
  waiter.flight = flight.get();
  if (begin) queries.spawn(fly(name, std::move(flight)));
}

async::Task<void> CachingResolver::State::fly(std::string name, std::shared_ptr<Flight> flight) {
  // However the flight ends, by an exception too, nobody is left waiting.
  struct Landing {
    State& state;
    std::string& name;
    Flight& flight;
    Result<Answer> result = Unexpected(Reason::internal_error, "the resolver failed");
    ~Landing() { state.land(name, flight, result); }
  };
  Landing landing{*this, name, *flight};
  // No deadline of its own: each waiter has one, and the last that leaves ends the flight.
  async::Task<Result<Answer>> query = upstream.resolve(name, kNever);
  async::Task<Unit> abandoned = until_set(flight->abandoned);
  async::Raced<Result<Answer>, Unit> raced =
      co_await async::race(std::move(query), std::move(abandoned));
  if (raced.first) landing.result = std::move(*raced.first);
}

void CachingResolver::State::land(const std::string& name, Flight& flight,
                                  const Result<Answer>& result) {
  take_off_list(name, flight);
  if (flight.remember) remember(name, result);
  for (Waiter* waiter : flight.waiters) {
    waiter->flight = nullptr;
    waiter->result = result;
    waiter->landed.set();
  }
  flight.waiters.clear();
}

void CachingResolver::State::take_off_list(const std::string& name, const Flight& flight) {
  const auto found = flights.find(name);
  if (found != flights.end() && found->second.get() == &flight) flights.erase(found);
}

void CachingResolver::State::remember(const std::string& name, const Result<Answer>& result) {
  if (limits.entries == 0) return;
  if (!result && !is_negative(result.error().reason)) return;
  const Duration ttl = result ? std::min(std::max(result->ttl, limits.min_ttl), limits.max_ttl)
                              : limits.negative_ttl;
  if (ttl <= Duration::zero()) return;
  const auto known = by_name.find(name);
  if (known != by_name.end()) forget(known->second);
  while (entries.size() >= limits.entries) forget(std::prev(entries.end()));
  const TimePoint now = async::Scheduler::current().now();
  entries.push_front({name, result, deadline_after(now, ttl)});
  by_name.emplace(entries.front().name, entries.begin());
}

void CachingResolver::State::forget(Entries::iterator entry) {
  by_name.erase(entry->name);
  entries.erase(entry);
}

CachingResolver::CachingResolver(Resolver& upstream, CacheLimits limits)
    : state_(std::make_unique<State>(upstream, limits)) {}

CachingResolver::~CachingResolver() = default;

async::Task<Result<Answer>> CachingResolver::resolve(std::string name, Deadline deadline) {
  const Result<Answer>* known = peek(name);
  if (known != nullptr) co_return *known;
  ++state_->misses;
  Waiter waiter;
  state_->join(name, waiter);
  const bool came = co_await waiter.landed.wait(deadline);
  if (!came) co_return Unexpected(Reason::dns_timeout, name + ": no answer in time");
  co_return std::move(*waiter.result);
}

const Result<Answer>* CachingResolver::peek(const std::string& name) {
  const auto found = state_->by_name.find(name);
  if (found == state_->by_name.end()) return nullptr;
  const State::Entries::iterator entry = found->second;
  if (entry->expires <= async::Scheduler::current().now()) {
    state_->forget(entry);
    return nullptr;
  }
  state_->entries.splice(state_->entries.begin(), state_->entries, entry);
  ++state_->hits;
  return &entry->result;
}

size_t CachingResolver::size() const { return state_->entries.size(); }
uint64_t CachingResolver::hits() const { return state_->hits; }
uint64_t CachingResolver::misses() const { return state_->misses; }

void CachingResolver::clear() {
  state_->by_name.clear();
  state_->entries.clear();
  // Queries in the air answer who waits for them, and are not remembered.
  for (auto& [name, flight] : state_->flights) flight->remember = false;
  state_->flights.clear();
}

}  // namespace egret::net
