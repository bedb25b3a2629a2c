#include "tests/support/proxy_simulation_universe.h"

#include <algorithm>
#include <stdexcept>

namespace egret::test::sim {
namespace {

using namespace std::chrono_literals;

// Far from each other, so that no mutation turns one into another.
constexpr std::string_view kWords[] = {"alpha-one",  "bravissimo",  "cyclotron",
                                       "dunderhead", "elephantine", "filigree"};
constexpr std::string_view kNeverPublic[] = {"0.0.0.0/8",       "10.0.0.0/8",     "100.64.0.0/10",
                                             "127.0.0.0/8",     "169.254.0.0/16", "172.16.0.0/12",
                                             "192.0.2.0/24",    "192.168.0.0/16", "198.18.0.0/15",
                                             "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"};

uint32_t bits_of(const policy::Address& v4) {
  uint32_t bits = 0;
  for (size_t i = 0; i < 4; ++i) bits = bits << 8 | v4.bytes()[i];
  return bits;
}

bool never_public_v4(uint32_t bits) {
  return std::ranges::any_of(kNeverPublic, [bits](std::string_view range) {
    const size_t slash = range.find('/');
    const auto length = static_cast<uint32_t>(std::stoi(std::string(range.substr(slash + 1))));
    const uint32_t first = bits_of(*policy::Address::parse(range.substr(0, slash)));
    return (bits ^ first) >> (32 - length) == 0;
  });
}

std::string milliseconds(Duration duration) {
  return std::to_string(std::chrono::ceil<std::chrono::milliseconds>(duration).count()) + "ms";
}

std::string list(const std::vector<std::string>& entries) {
  std::string out;
  for (const std::string& entry : entries) out += (out.empty() ? "\"" : ", \"") + entry + "\"";
  return "[" + out + "]";
}

}  // namespace

bool never_public(std::string_view text) {
  const auto address = policy::Address::parse(text);
  if (!address) throw std::invalid_argument("not an address: " + std::string(text));
  if (address->is_v4()) return never_public_v4(bits_of(*address));
  const auto& bytes = address->bytes();
  const auto inside = [&bytes](size_t at) {
    return uint32_t{bytes[at]} << 24 | uint32_t{bytes[at + 1]} << 16 |
           uint32_t{bytes[at + 2]} << 8 | bytes[at + 3];
  };
  const std::string_view raw(reinterpret_cast<const char*>(bytes.data()), 16);
  if (raw.starts_with(std::string_view("\x20\x02", 2))) return never_public_v4(inside(2));
  const std::string_view nat64("\0\x64\xff\x9b\0\0\0\0\0\0\0\0", 12);
  const std::string_view mapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  if (raw.starts_with(nat64) || raw.starts_with(mapped)) return never_public_v4(inside(12));
  return bytes[0] >> 5 != 1 || raw.starts_with(std::string_view("\x20\x01\x0d\xb8", 4));
}

Place place_of(std::string_view endpoint) {
  const size_t colon = endpoint.rfind(':');
  std::string_view host = endpoint.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  return {std::string(host),
          static_cast<uint16_t>(std::stoi(std::string(endpoint.substr(colon + 1))))};
}

Universe::Universe(Dice& dice) : dice_(dice) {
  const size_t names = dice_.between(2, std::size(kWords));
  for (size_t slot = 0; slot < names; ++slot) add_name(slot);
  names_.push_back({"", names, {}});
}

void Universe::add_name(size_t slot) {
  Name name{std::string(kWords[slot]) + ".io", slot, {}};
  const size_t phases = dice_.percent(60) ? 1 : dice_.between(2, 4);
  for (size_t i = 0; i < phases; ++i) {
    Phase phase;
    if (dice_.percent(40)) phase.after = dice_.duration(1ms, 2s);
    if (dice_.percent(5)) phase.after = Duration::max();  // hangs
    const size_t addresses = dice_.percent(8) ? 0 : dice_.percent(70) ? 1 : dice_.between(2, 10);
    // Public, private, or each for itself.
    const uint64_t chance = dice_.percent(75) ? 100 : dice_.percent(50) ? 0 : 70;
    for (size_t n = 0; n < addresses; ++n) {
      phase.addresses.push_back(dice_.percent(chance) ? make_public(slot, i)
                                                      : make_private(slot, i));
    }
    name.phases.push_back(std::move(phase));
  }
  names_.push_back(std::move(name));
}

std::string Universe::settle(std::string_view text, Home home) {
  const std::string canonical = policy::Address::parse(text)->to_string();
  homes_[canonical] = home;
  return std::string(text);
}

std::string Universe::make_public(size_t slot, size_t phase) {
  const std::string number = std::to_string(++made_);
  const Home home{slot, phase, true, false};
  if (dice_.percent(70)) return settle("93.184." + std::to_string(slot) + "." + number, home);
  return settle("2606:2800:" + std::to_string(slot) + "::" + number, home);
}

std::string Universe::make_private(size_t slot, size_t phase) {
  const std::string number = std::to_string(++made_);
  const std::string in_slot = std::to_string(slot) + "." + number;
  const Home home{slot, phase, false, false};
  switch (dice_.below(7)) {
    case 0:
      return settle("127.0." + in_slot, home);
    case 1:
      return settle("169.254." + in_slot, home);
    case 2:
      return settle("fd00:" + std::to_string(slot) + "::" + number, home);
    case 3:
      return settle("64:ff9b::192.168." + in_slot, home);
    case 4:
      return settle("2002:c0a8:" + number + "::1", home);
    default:
      return settle("10." + std::to_string(slot) + ".0." + number, {slot, phase, false, true});
  }
}

std::string Universe::literal(bool is_public) {
  const size_t slot = literal_slot();
  const std::string text = is_public ? make_public(slot, 0) : make_private(slot, 0);
  return text.find(':') == std::string::npos ? text : "[" + text + "]";
}

HostPolicy Universe::make_policy() {
  return {.denied = dice_.percent(10),
          .filter = dice_.percent(50),
          .opens = dice_.percent(25),
          .closes = dice_.percent(15)};
}

std::string Universe::addresses_yaml(const std::vector<HostPolicy>& of, size_t first, size_t last,
                                     bool filter) const {
  std::vector<std::string> allow;
  std::vector<std::string> deny;
  for (size_t slot = first; slot < last; ++slot) {
    const std::string number = std::to_string(slot);
    if (of[slot].opens) allow.push_back("10." + number + ".0.0/16");
    if (!of[slot].closes) continue;
    deny.push_back("93.184." + number + ".0/24");
    deny.push_back("2606:2800:" + number + "::/48");
  }
  return "  addresses: {allow: " + list(allow) + ", deny: " + list(deny) +
         ", mixed: " + (filter ? "filter" : "deny") + "}\n";
}

Config Universe::make_config() {
  Config config;
  config.report = dice_.percent(25);
  config.strangers = dice_.percent(75);
  config.port_8080 = dice_.percent(80);
  const bool default_filter = dice_.percent(50);
  std::string rules;
  std::vector<HostPolicy> by_default;
  for (const Name& name : names_) {
    HostPolicy policy = make_policy();
    policy.denied = false;
    policy.filter = default_filter;
    if (!name.text.empty() && dice_.percent(40)) {
      policy = make_policy();
      std::vector<HostPolicy> own(name.slot + 1);
      own[name.slot] = policy;
      rules += "- name: r" + std::to_string(name.slot) + "\n  match: {hosts: [" + name.text +
               "]}\n" + (policy.denied ? "  action: deny\n" : "") +
               addresses_yaml(own, name.slot, name.slot + 1, policy.filter);
    }
    config.slots.push_back(policy);
    // An address literal of the slot is the defaults' to judge: they agree with the rule.
    by_default.push_back(policy);
  }
  const Duration idle = dice_.duration(100ms, 4s);
  const Duration total = dice_.duration(300ms, 10s);
  const Duration response = dice_.duration(100ms, 8s);
  const Duration tunnel = dice_.duration(500ms, 20s);
  // Opening a tunnel is within `total`; a refusal is written within `idle`.
  config.exchange = total + tunnel + idle;
  const auto some = [this](std::string_view rare, std::string_view usual) {
    return std::string(dice_.percent(20) ? rare : usual);
  };
  config.yaml = std::string("mode: ") + (config.report ? "report" : "enforce") +
                "\nresolver: {cache: {min_ttl: 0s, max_ttl: " + some("0s", "30s") +
                ", negative_ttl: " + some("0s", "1s") +
                "}}\nlog: {detail: " + some("minimal", "full") + "}\n";
  if (!config.strangers) {
    config.yaml += "senders: [{name: known, networks: [198.51.100.0/24]}]\n";
  }
  config.yaml += "defaults:\n" + addresses_yaml(by_default, 0, by_default.size(), default_filter) +
                 "  ports: [80, 443" + (config.port_8080 ? ", 8080" : "") + "]\n  timeouts: {" +
                 "resolve: " + milliseconds(dice_.duration(50ms, 3s)) +
                 ", connect: " + milliseconds(dice_.duration(50ms, 3s)) +
                 ", response: " + milliseconds(response) + ", idle: " + milliseconds(idle) +
                 ", total: " + milliseconds(total) + ", tunnel: " + milliseconds(tunnel) + "}\n" +
                 "  limits: {request_body: " + some("1KiB", "64KiB") + answer_limits(config) +
                 ", headers: " + some("1KiB", "16KiB") + ", min_rate: " + some("1KiB/s", "none") +
                 ", in_flight_per_host: " + some("1", "64") + "}\n" + on_behalf(config);
  if (!rules.empty()) config.yaml += "rules:\n" + rules;
  return config;
}

std::string Universe::answer_limits(Config& config) {
  const bool small = dice_.percent(20);
  if (dice_.percent(50)) config.largest = small ? 1024 : 65536;
  return std::string(", response_body: ") + (small ? "1KiB" : "64KiB") +
         ", oversize: " + (config.largest > 0 ? "truncate" : "fail");
}

// What the gateway does on a sender's behalf, and how far the oracle lets it go.
std::string Universe::on_behalf(Config& config) {
  if (dice_.percent(40)) config.attempts = static_cast<int>(dice_.between(2, 4));
  if (dice_.percent(40)) config.redirects = static_cast<int>(dice_.between(1, 3));
  static constexpr std::string_view kOn[] = {"connect, timeout, 502, 503", "connect, reset, 5xx",
                                             "timeout, reset, 404, 503", "connect"};
  static constexpr std::string_view kFollow[] = {"same-origin", "same-host", "any", "any"};
  return "  retry: {attempts: " + std::to_string(config.attempts) + ", on: [" +
         std::string(dice_.pick(kOn)) +
         "], backoff: {initial: " + milliseconds(dice_.duration(1ms, 500ms)) +
         ", max: 2s, jitter: " + (dice_.percent(50) ? "0%" : "80%") + "}}\n  redirects: {follow: " +
         std::string(config.redirects > 0 ? dice_.pick(kFollow) : "never") +
         ", max: " + std::to_string(std::max(1, config.redirects)) + "}\n";
}

void Universe::script(FakeResolver& dns, FakeDialer& dialer) {
  for (const Name& name : names_) {
    for (const Phase& phase : name.phases) {
      const Reason why = dice_.percent(50) ? Reason::dns_error : Reason::name_not_found;
      Result<net::Answer> answer = Unexpected(why, name.text);
      if (!phase.addresses.empty()) {
        answer = net::Answer{.addresses = {}, .ttl = dice_.duration(1ms, 60s)};
        for (const std::string& text : phase.addresses) {
          answer->addresses.push_back(*policy::Address::parse(text));
        }
      }
      dns.script(name.text, std::move(answer), phase.after);
    }
  }
  using What = FakeDialer::Script::What;
  for (const auto& [address, home] : homes_) {
    if (dice_.percent(50)) continue;  // accepts
    const bool v6 = address.find(':') != std::string::npos;
    const std::string host = v6 ? "[" + address + "]" : address;
    for (const uint16_t port : {uint16_t{80}, uint16_t{443}, uint16_t{8080}}) {
      for (size_t dials = dice_.between(1, 2); dials > 0; --dials) {
        FakeDialer::Script script;
        if (dice_.percent(20)) script.what = dice_.percent(70) ? What::fail : What::hang;
        if (dice_.percent(50)) script.after = dice_.duration(1ms, 1s);
        if (dice_.percent(30)) script.capacity = dice_.between(1, 4000);
        if (dice_.percent(10)) script.faults.reset_after_write = dice_.between(1, 2000);
        if (dice_.percent(20)) script.faults.most_per_write = dice_.between(1, 500);
        dialer.script(host + ":" + std::to_string(port), script);
      }
    }
  }
}

bool Universe::address_permitted(const HostPolicy& policy, const Home& home) {
  return home.is_public ? !policy.closes : home.can_open && policy.opens;
}

bool Universe::permits(const Config& config, const Place& place, Asked asked) const {
  if (!config.report && !config.port_8080 && place.port == 8080) return false;
  const auto found = homes_.find(place.address);
  if (found == homes_.end()) {
    // A mutation made it: only an entry for its whole network can permit one that is not public.
    const auto in_open_network = [&](const Name& name) {
      const std::string network = "10." + std::to_string(name.slot) + ".";
      return config.slots[name.slot].opens && place.address.find(network) != std::string::npos;
    };
    return !never_public(place.address) || std::ranges::any_of(names_, in_open_network);
  }
  const Home& home = found->second;
  const HostPolicy& policy = config.slots[home.slot];
  if (!address_permitted(policy, home)) return false;
  if (asked == Asked::somehow) return true;
  if (policy.denied && !config.report) return false;
  if (policy.filter || names_[home.slot].phases.empty()) return true;
  const auto& siblings = names_[home.slot].phases[home.phase].addresses;
  return std::ranges::all_of(siblings, [&](const std::string& text) {
    return address_permitted(policy,
                             homes_.find(policy::Address::parse(text)->to_string())->second);
  });
}

std::optional<size_t> Universe::slot_of(const std::string& address) const {
  const auto found = homes_.find(address);
  if (found == homes_.end()) return std::nullopt;
  return found->second.slot;
}

size_t Universe::query_of(const std::string& address) const {
  const auto found = homes_.find(address);
  return found == homes_.end() ? 0 : found->second.phase;
}

}  // namespace egret::test::sim
