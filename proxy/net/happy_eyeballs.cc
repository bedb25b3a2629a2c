#include "proxy/net/happy_eyeballs.h"

#include <algorithm>
#include <optional>

#include "proxy/async/task_set.h"
#include "proxy/async/wait.h"

namespace egret::net {
namespace {

// All addresses of a name are judged, but a name with hundreds does not make a scanner of Egret.
constexpr int kMostDialled = 8;

// What the attempts of one connect() share.
struct Race {
  Race(Dialer& with, std::optional<policy::Address> from) : dialer(with), source(from) {}
  Dialer& dialer;
  std::optional<policy::Address> source;
  std::optional<Connection> winner;
  Failure failure{Reason::connection_failed, "no address was tried"};
  size_t running = 0;
  async::Event progress;
  async::TaskSet attempts;  // last: cancelled first
};

// However an attempt ends, by an exception too, the race goes on.
struct Running {
  explicit Running(Race& in) : race(in) {}
  ~Running() {
    --race.running;
    race.progress.set();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  Race& race;
};

async::Task<void> attempt(Race& race, policy::PermittedAddress address, Deadline deadline) {
  const Running running(race);
  Result<std::unique_ptr<Stream>> dialled =
      co_await race.dialer.dial(address, race.source, deadline);
  if (!dialled) {
    race.failure = std::move(dialled.error());
  } else if (!race.winner) {
    race.winner = Connection{std::move(*dialled), address.endpoint()};
  }
}

}  // namespace

policy::PermittedAddresses interleave(policy::PermittedAddresses addresses) {
  policy::PermittedAddresses mixed;
  mixed.reserve(addresses.size());
  const auto is_v6 = [](const policy::PermittedAddress& address) {
    return !address.endpoint().address.is_v4();
  };
  auto v4 = std::stable_partition(addresses.begin(), addresses.end(), is_v6);
  auto v6 = addresses.begin();
  const auto v6_end = v4;
  while (v6 != v6_end || v4 != addresses.end()) {
    if (v6 != v6_end) mixed.push_back(*v6++);
    if (v4 != addresses.end()) mixed.push_back(*v4++);
  }
  return mixed;
}

async::Task<Result<Connection>> HappyEyeballs::connect(policy::PermittedAddresses addresses,
                                                       std::optional<policy::Address> source,
                                                       Deadline deadline) {
  Race race(dialer_, source);
  if (source) {
    std::erase_if(addresses, [&](const policy::PermittedAddress& address) {
      return address.endpoint().address.family() != source->family();
    });
    if (addresses.empty()) {
      co_return Unexpected(
          Reason::destination_unroutable,
          "source " + source->to_string() + ": the destination has no address of its family");
    }
  }
  policy::PermittedAddresses order = interleave(std::move(addresses));
  if (order.size() > kMostDialled) order.erase(order.begin() + kMostDialled, order.end());
  size_t started = 0;
  while (!race.winner) {
    if (started < order.size()) {
      ++race.running;
      const policy::PermittedAddress next = order[started++];
      race.attempts.spawn(attempt(race, next, deadline));
    } else if (race.running == 0) {
      co_return Unexpected(race.failure);
    }
    if (race.winner || race.running == 0) continue;  // done, or the next need not wait
    const TimePoint now = async::Scheduler::current().now();
    const Deadline pause = started < order.size() ? deadline_after(now, kAttemptDelay) : kNever;
    race.progress.clear();
    // Each attempt keeps to the deadline itself, so this wait ends with the last of them.
    co_await race.progress.wait(pause);
  }
  co_return std::move(*race.winner);
}

}  // namespace egret::net
