#include "tests/support/proxy_simulation.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "base/text.h"
#include "tests/support/proxy_simulation_destination.h"
#include "tests/support/proxy_simulation_sender.h"

namespace egret::test::sim {
namespace {

using namespace std::chrono_literals;

constexpr size_t kMostSenders = 12;
// Of session.cc, and a sweep of the pool.
constexpr Duration kLingerAndSweep = 12s;

class Run {
 public:
  Run(uint64_t seed, Sabotage sabotage);
  Outcome play();

 private:
  void begin();
  void happen();
  void connect();
  void reload();
  void time_passes();
  void watch();
  void end();
  void check_at_rest();
  void check_lines();
  void check_line(const std::string& line);
  [[nodiscard]] Sender& any_sender() { return *stage_.dice.pick(senders_); }
  std::string for_gateway(const Config& config) const;

  Stage stage_;
  int streams_before_ = MemoryStream::alive();
  std::vector<std::unique_ptr<Sender>> senders_;
  std::vector<std::unique_ptr<Destination>> destinations_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<async::TaskSet> sessions_;  // cancelled first
  proxy::Buffer kept_;                        // Sabotage::keeps_a_buffer
  std::vector<std::string> lines_;
  size_t dials_seen_ = 0;
  TimePoint watched_at_ = stage_.loop.now();
  bool first_line_ = true;
};

Run::Run(uint64_t seed, Sabotage sabotage) : stage_(seed, sabotage) {}

std::string Run::for_gateway(const Config& config) const {
  std::string yaml = config.yaml;
  if (stage_.sabotage == Sabotage::permits_private) {
    for (size_t at = 0; (at = yaml.find("allow: [", at)) != std::string::npos; at += 8) {
      yaml.insert(at + 8, "10.0.0.0/9, ");
    }
  }

  const auto replace = [&yaml](std::string_view from, std::string_view to) {
    const size_t at = yaml.find(from);
    if (at != std::string::npos) yaml.replace(at, yaml.find_first_of(",}", at) - at, to);
  };
  if (stage_.sabotage == Sabotage::retries_more) replace("attempts: ", "attempts: 9");
  if (stage_.sabotage == Sabotage::follows_more) replace("follow: never", "follow: any");
  if (stage_.sabotage == Sabotage::waits_too_long) {
    yaml.insert(yaml.find("timeouts: {") + 11,
                "resolve: 80s, connect: 80s, response: 80s, idle: 80s, total: 80s, tunnel: 1h}\n#");
  }
  return yaml;
}

void Run::begin() {
  for (int literals = 0; literals < 2; ++literals) stage_.universe.literal(literals == 0);
  stage_.begin_era(stage_.universe.make_config());
  gateway_ = std::make_unique<Gateway>(stage_.loop, for_gateway(stage_.config()));
  stage_.note("begins with\n" + stage_.config().yaml);
  stage_.universe.script(gateway_->dns, gateway_->connector.dialer());
  gateway_->services.access_log = [this](const std::string& line) {
    stage_.note("log " + line);
    const bool first = std::exchange(first_line_, false);
    if (first && stage_.sabotage == Sabotage::loses_a_line) return;
    lines_.push_back(line);
    if (first && stage_.sabotage == Sabotage::doubles_a_line) lines_.push_back(line);
  };
  sessions_ = std::make_unique<async::TaskSet>(
      [this](const std::exception_ptr&) { stage_.wrong("a connection ended by an exception"); });
  if (stage_.sabotage == Sabotage::keeps_a_buffer) kept_ = gateway_->buffers.take();
  if (stage_.dice.percent(8))
    gateway_->set_max_connections(static_cast<uint32_t>(stage_.dice.between(1, 4)));
}

void Run::connect() {
  if (senders_.size() == kMostSenders) return;
  Dice& dice = stage_.dice;
  const bool stranger = dice.percent(10);
  std::unique_ptr<Sender> sender = Sender::make(stage_, senders_.size(), stranger);
  Gateway::From from{.address = stranger ? "203.0.113.9" : "198.51.100.7"};
  if (dice.percent(30)) from.capacity = dice.between(1, 3000);
  std::optional<FarEnd> far;
  sessions_->spawn(gateway_->serving(from, far));
  if (dice.percent(20)) far->peer().faults().most_per_read = dice.between(1, 300);
  if (dice.percent(20)) far->peer().faults().most_per_write = dice.between(1, 300);
  sender->plug(far->peer());
  senders_.push_back(std::move(sender));
}

void Run::reload() {
  stage_.begin_era(stage_.universe.make_config());
  stage_.note("reloads\n" + stage_.config().yaml);
  gateway_->reload(for_gateway(stage_.config()));
}

void Run::time_passes() {
  Dice& dice = stage_.dice;
  if (dice.percent(30)) {
    // Time passes while the loop waits: a deadline that came is met before the next one.
    stage_.loop.run_until_idle();
    stage_.loop.advance_to_next_timer();
  } else {
    stage_.loop.advance(dice.duration(1ms, dice.percent(5) ? Duration(8s) : Duration(100ms)));
  }
}

// One thing, thrown.
void Run::happen() {
  Dice& dice = stage_.dice;
  const uint64_t what = dice.below(1000);
  if (what < 300) {
    any_sender().act();
  } else if (what < 600) {
    if (!destinations_.empty()) dice.pick(destinations_)->act();
  } else if (what < 800) {
    for (size_t steps = dice.between(1, 8); steps > 0; --steps) stage_.loop.step();
  } else if (what < 900) {
    stage_.loop.run_until_idle();
  } else if (what < 950) {
    time_passes();
  } else if (what < 988) {
    connect();
  } else if (what < 993) {
    reload();
  } else if (what < 994) {
    gateway_->set_max_connections(static_cast<uint32_t>(dice.between(1, 20)));
  } else if (what < 996) {
    any_sender().leave();
  } else if (what == 996 && dice.percent(20)) {
    stage_.note("drains");
    gateway_->drain();
  }
}

// After everything that happens: what was dialled since, and the connections that were made.
void Run::watch() {
  const auto& dialled = gateway_->connector.dialled();
  for (; dials_seen_ < dialled.size(); ++dials_seen_) {
    const std::string& endpoint = dialled[dials_seen_];
    stage_.note("dials " + endpoint);
    const Place place = place_of(endpoint);
    const TimePoint earliest = watched_at_ - stage_.longest_exchange();
    if (!stage_.permitted_since(earliest, place, Stage::Who::anyone)) {
      stage_.wrong("a denied dial: " + endpoint);
    }
    const std::optional<size_t> slot = stage_.universe.slot_of(place.address);
    const bool asked_for = std::ranges::any_of(stage_.requests, [&](const Request& request) {
      return (request.slot == slot && request.port == place.port) ||
             std::ranges::any_of(request.led, [&](const Request::Led& led) {
               return led.slot == slot && led.port == place.port;
             });
    });
    if (!asked_for && !stage_.hostile) stage_.wrong("a dial that nobody asked for: " + endpoint);
    if (!slot) continue;
    const std::string& name = stage_.universe.names()[*slot].text;
    if (!name.empty() && gateway_->dns.queries(name) <= stage_.universe.query_of(place.address)) {
      stage_.wrong("a dial to what DNS has not said: " + endpoint);
    }
  }
  watched_at_ = stage_.loop.now();
  auto& accepted = gateway_->connector.dialer().accepted();
  while (destinations_.size() < accepted.size()) {
    const auto& made = accepted[destinations_.size()];
    destinations_.push_back(
        std::make_unique<Destination>(stage_, destinations_.size(), made.endpoint, made.peer));
  }
}

Outcome Run::play() {
  begin();
  for (size_t senders = stage_.dice.between(1, 4); senders > 0; --senders) connect();
  for (size_t left = stage_.dice.between(200, 900); left > 0; --left) {
    happen();
    watch();
  }
  end();
  stage_.note("end");
  Outcome outcome{std::move(stage_.violations), std::move(stage_.trace), stage_.requests.size(),
                  gateway_->connector.dialled().size()};
  return outcome;
}

// Everyone goes, or nobody ever moves again, or the gateway stops: nothing may be left of it.
void Run::end() {
  Dice& dice = stage_.dice;
  const uint64_t how = dice.below(3);
  if (how == 0) {
    stage_.note("stops");
    sessions_->cancel_all();
  } else if (how == 1) {
    stage_.note("everyone goes");
    for (const auto& sender : senders_) sender->leave();
    for (const auto& destination : destinations_) destination->leave();
    stage_.loop.run_until_idle();
  } else {
    stage_.note("nobody moves");
  }
  watch();
  // Each request of a pipeline may take all its time. Nobody answers, so each step is a deadline's.
  constexpr int kMostRequests = 10;
  for (int i = 0; i < kMostRequests && (i < 1 || sessions_->size() > 0); ++i) {
    stage_.loop.advance(stage_.longest_exchange() + kLingerAndSweep);
    watch();
  }
  check_at_rest();
  for (const auto& sender : senders_) sender->look();
  for (const auto& destination : destinations_) destination->look();
  check_lines();
}

void Run::check_at_rest() {
  const std::string open = gateway_->still_open();
  if (!open.empty()) stage_.wrong("still open at the end: " + open);
  if (sessions_->size() > 0) stage_.wrong("a session outlives every deadline");
  if (gateway_->pool.size() > 0) stage_.wrong("an idle connection outlives timeouts.idle");
  gateway_->pool.clear();
  if (MemoryStream::alive() != streams_before_) stage_.wrong("a stream outlives its session");
  kept_ = proxy::Buffer();
}

void Run::check_lines() {
  const uint64_t read = gateway_->services.next_request_id - 1;
  if (lines_.size() != read) {
    stage_.wrong(std::to_string(lines_.size()) + " log lines of " + std::to_string(read) +
                 " requests");
  }
  std::set<std::string> ids;
  std::set<std::string_view> tokens;
  for (const std::string& line : lines_) {
    if (!ids.insert(log_value(line, "request_id")).second) stage_.wrong("a second line: " + line);
    check_line(line);
    const std::string destination = log_value(line, "destination");
    for (const std::string_view token : tokens_in(destination)) {
      const Request* request = stage_.find(token);
      if (request == nullptr || !request->polite) continue;
      if (!tokens.insert(request->token).second) stage_.wrong("two lines of " + request->token);
      const int status = std::stoi(log_value(line, "status"));
      if (senders_[request->sender]->heard_all() && request->answered != kCutShort &&
          status != request->answered) {
        stage_.wrong("the sender got " + std::to_string(request->answered) + ", not as " + line);
      }
      const int walks =
          std::stoi(log_value(line, "attempts")) + std::stoi(log_value(line, "redirects"));
      if (request->method != "CONNECT" && request->seen > (request->repeatable ? 2 : 1) * walks &&
          stage_.sabotage != Sabotage::forwards_twice) {
        stage_.wrong("destinations saw it " + std::to_string(request->seen) + " times: " + line);
      }
      if (log_value(line, "verdict") == "denied" && request->seen > 0) {
        stage_.wrong("a destination saw what was denied: " + line);
      }
    }
  }
  for (const Request& request : stage_.requests) {
    const bool known = !request.polite || request.method == "CONNECT" || request.seen == 0;
    if (!known && !tokens.contains(request.token)) stage_.wrong("no line of " + request.token);
  }
}

void Run::check_line(const std::string& line) {
  if (log_value(line, "reason") == "internal_error") stage_.wrong("a bug's line: " + line);
  const bool allowed =
      log_value(line, "verdict") == "allowed" || log_value(line, "verdict") == "reported";
  // Attempts that ended with the name servers were not allowed either.
  const bool tried = log_value(line, "attempts") != "0" && stage_.most_attempts() == 1;
  if (!allowed && (!log_value(line, "address").empty() || tried)) {
    stage_.wrong("a line that was not allowed, and connected: " + line);
  }
  if (std::stoi(log_value(line, "attempts")) > stage_.most_attempts()) {
    stage_.wrong("more attempts than any configuration allows: " + line);
  }
  if (std::stoi(log_value(line, "redirects")) > stage_.most_redirects()) {
    stage_.wrong("more redirects than any configuration allows: " + line);
  }
  const auto total =
      std::chrono::duration<double, std::milli>(std::stod(log_value(line, "total_ms")));
  if (total > stage_.longest_exchange() + 1ms) stage_.wrong("it took too long: " + line);
}

}  // namespace

Outcome simulate(uint64_t seed, Sabotage sabotage) { return Run(seed, sabotage).play(); }

}  // namespace egret::test::sim
