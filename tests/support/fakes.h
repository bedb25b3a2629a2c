#pragma once

#include <deque>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/net/happy_eyeballs.h"
#include "proxy/net/resolver.h"
#include "tests/support/memory_stream.h"

namespace egret::test {

// "192.0.2.1:80" or "[2001:db8::1]:80"; throws std::invalid_argument on anything else.
policy::Endpoint endpoint(std::string_view text);
// What a Judge that allows everything permits: for tests of whoever takes permitted addresses.
// All endpoints have the port of the first.
policy::PermittedAddresses permitted(std::initializer_list<std::string_view> endpoints);

// FakeDialer dials nothing: each endpoint does what the test has scripted, one script a dial, the
// last one for ever. An endpoint without a script accepts.
class FakeDialer final : public net::Dialer {
 public:
  struct Script {
    enum class What : uint8_t { accept, fail, hang };
    What what = What::accept;
    Reason reason = Reason::connection_refused;  // of `fail`
    Duration after = Duration::zero();           // how long it takes
    size_t capacity = SIZE_MAX;                  // of the peer's receive buffer
    Faults faults = {};                          // of the new stream
  };

  void script(std::string_view endpoint, Script script);
  void accept(std::string_view endpoint) { script(endpoint, {}); }
  void refuse(std::string_view endpoint) { script(endpoint, {.what = Script::What::fail}); }
  void fail(std::string_view endpoint, Reason reason) {
    script(endpoint, {.what = Script::What::fail, .reason = reason});
  }
  // Until the deadline: then connection_timeout.
  void hang(std::string_view endpoint) { script(endpoint, {.what = Script::What::hang}); }

  // Every endpoint dialled, in order, and where each was dialled from.
  [[nodiscard]] const std::vector<std::string>& dialled() const { return dialled_; }
  [[nodiscard]] const std::vector<std::optional<policy::Address>>& sources() const {
    return sources_;
  }
  // The far ends of the connections made, in order; with their endpoints.
  struct Accepted {
    std::string endpoint;
    ScriptedPeer peer;
  };
  std::vector<Accepted>& accepted() { return accepted_; }
  // Dials that have neither succeeded nor failed nor been cancelled.
  [[nodiscard]] int dialling() const { return dialling_; }

  async::Task<Result<std::unique_ptr<net::Stream>>> dial(policy::PermittedAddress address,
                                                         std::optional<policy::Address> source,
                                                         Deadline deadline) override;

 private:
  Script next_script(const std::string& endpoint);
  std::map<std::string, std::deque<Script>> scripts_;
  std::vector<std::string> dialled_;
  std::vector<std::optional<policy::Address>> sources_;
  std::vector<Accepted> accepted_;
  int dialling_ = 0;
};

// FakeConnector is the production race of connections over a FakeDialer, and remembers.
class FakeConnector final : public net::Connector {
 public:
  FakeDialer& dialer() { return dialer_; }
  // Every list of addresses asked for, in order.
  [[nodiscard]] const std::vector<policy::PermittedAddresses>& asked() const { return asked_; }
  [[nodiscard]] const std::vector<std::string>& dialled() const { return dialer_.dialled(); }
  // The far end of the connection made as the `index`th; throws std::out_of_range.
  ScriptedPeer& peer(size_t index = 0) { return dialer_.accepted().at(index).peer; }
  [[nodiscard]] size_t connections() { return dialer_.accepted().size(); }

  async::Task<Result<net::Connection>> connect(policy::PermittedAddresses addresses,
                                               std::optional<policy::Address> source,
                                               Deadline deadline) override;

 private:
  FakeDialer dialer_;
  net::HappyEyeballs happy_eyeballs_{dialer_};
  std::vector<policy::PermittedAddresses> asked_;
};

// FakeResolver answers what the test has scripted, one answer a query, the last one for ever. A
// name without a script does not exist.
class FakeResolver final : public net::Resolver {
 public:
  // The texts are addresses; throws std::invalid_argument on anything else.
  void answer(std::string_view name, std::initializer_list<std::string_view> addresses,
              Duration after = Duration::zero());
  void fail(std::string_view name, Reason reason, Duration after = Duration::zero());
  // Until the deadline: then dns_timeout.
  void hang(std::string_view name);
  void script(std::string_view name, Result<net::Answer> result, Duration after);

  // Every name asked for, in order.
  [[nodiscard]] const std::vector<std::string>& asked() const { return asked_; }
  [[nodiscard]] size_t queries(std::string_view name) const;
  // Queries that have neither been answered nor cancelled.
  [[nodiscard]] int resolving() const { return resolving_; }

  async::Task<Result<net::Answer>> resolve(std::string name, Deadline deadline) override;

 private:
  struct Script {
    Result<net::Answer> result;
    Duration after = Duration::zero();
  };
  Script next_script(const std::string& name);
  std::map<std::string, std::deque<Script>, std::less<>> scripts_;
  std::vector<std::string> asked_;
  int resolving_ = 0;
};

}  // namespace egret::test
