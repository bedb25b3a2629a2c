#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/fakes.h"
#include "tests/support/proxy_simulation_dice.h"

namespace egret::test::sim {

// True for an address that no configuration without an entry of its own may permit: an oracle as
// short as can be, apart from policy/. False says nothing.
bool never_public(std::string_view address);

// "192.0.2.1:80" and "[2001:db8::1]:80" apart.
struct Place {
  std::string address;
  uint16_t port = 0;
};
Place place_of(std::string_view endpoint);

inline constexpr uint16_t kPlainPorts[] = {80, 8080};
inline constexpr uint16_t kTunnelPort = 443;

// What a configuration says of the hosts of one slot.
struct HostPolicy {
  bool denied = false;  // action: deny
  bool filter = false;  // mixed: filter
  bool opens = false;   // 10.<slot>.0.0/16 is in allow
  bool closes = false;  // the slot's public networks are in deny
};

struct Config {
  std::string yaml;
  bool report = false;
  bool strangers = true;  // who is in no sender's networks may send
  bool port_8080 = true;
  int attempts = 1;     // retry.attempts
  int redirects = 0;    // redirects.max, or 0: none is followed
  size_t largest = 0;   // limits.response_body, where oversize is truncate; or 0
  Duration exchange{};  // the longest that an exchange may take, any rule, tunnels included
  std::vector<HostPolicy> slots;
};

// One answer of the simulated DNS to one name.
struct Phase {
  std::vector<std::string> addresses;  // none: it fails
  Duration after = Duration::zero();
};

struct Name {
  std::string text;  // empty: the slot is one of IP literals
  size_t slot = 0;
  std::vector<Phase> phases;  // a query each, the last for ever
};

// The simulated internet: which names there are, where they lead, and which of that is public.
//   Every address belongs to one answer to one name, so that a dial tells what it was for.
class Universe {
 public:
  explicit Universe(Dice& dice);
  Config make_config();
  // Tells the fakes what DNS says and what becomes of a dial.
  void script(FakeResolver& dns, FakeDialer& dialer);

  [[nodiscard]] const std::vector<Name>& names() const { return names_; }
  // An address as it stands in a URL.
  std::string literal(bool is_public);
  [[nodiscard]] size_t literal_slot() const { return names_.size() - 1; }

  // The oracle: whether `config` may ever lead to a connection there, when it was asked for by its
  // name or, `somehow`, perhaps as an address that a mutation made.
  enum class Asked : uint8_t { by_name, somehow };
  [[nodiscard]] bool permits(const Config& config, const Place& place, Asked asked) const;
  // The slot that the address belongs to, or nothing for one that nobody made.
  [[nodiscard]] std::optional<size_t> slot_of(const std::string& address) const;
  // The number of the query that gave the address.
  [[nodiscard]] size_t query_of(const std::string& address) const;

 private:
  struct Home {
    size_t slot = 0;
    size_t phase = 0;
    bool is_public = false;
    bool can_open = false;  // an allow entry of the slot covers it
  };
  void add_name(size_t slot);
  std::string make_public(size_t slot, size_t phase);
  std::string make_private(size_t slot, size_t phase);
  std::string settle(std::string_view text, Home home);
  HostPolicy make_policy();
  std::string answer_limits(Config& config);
  std::string on_behalf(Config& config);
  std::string addresses_yaml(const std::vector<HostPolicy>& of, size_t first, size_t last,
                             bool filter) const;
  static bool address_permitted(const HostPolicy& policy, const Home& home);

  Dice& dice_;
  std::vector<Name> names_;
  std::map<std::string, Home, std::less<>> homes_;
  size_t made_ = 0;
};

}  // namespace egret::test::sim
