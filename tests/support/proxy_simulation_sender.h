#pragma once

#include <memory>

#include "tests/support/proxy_simulation_stage.h"

namespace egret::test::sim {

// Sender is one simulated connection to the gateway: what it sends, how it reads, when it goes.
//   It checks all that comes: only its own tokens; a polite one also that each answer is of its
//   request, in order, and that what looks whole was sent whole.
class Sender {
 public:
  // The dice decide what it is; `capacity` of its connection too.
  Sender(Stage& stage, size_t id, bool stranger);
  virtual ~Sender() = default;
  void plug(ScriptedPeer peer) { peer_.emplace(std::move(peer)); }

  // Does one thing.
  void act();
  // Takes what came and checks it.
  void look();
  // Closes, whatever is going on.
  void leave();
  [[nodiscard]] bool gone() const { return gone_; }
  // It read everything until the gateway closed.
  [[nodiscard]] bool heard_all() const { return heard_all_; }

  static std::unique_ptr<Sender> make(Stage& stage, size_t id, bool stranger);

 protected:
  // Adds to `out_` what may be sent now.
  virtual void prepare() = 0;
  // Bytes came; then, perhaps, nothing more ever.
  virtual void take(std::string_view bytes) = 0;
  virtual void ended([[maybe_unused]] bool cleanly) {}
  // A request of its own, to anywhere in the universe; a fit for `method` CONNECT too.
  Request& make_request(std::string_view method);
  // That many bytes of `out_` go out now, or FIN does.
  virtual void sending(size_t bytes);
  virtual void finishing() {}
  void finish();

  Stage& stage_;
  const size_t id_;
  const bool stranger_;
  std::string out_;        // to be sent
  bool finished_ = false;  // has sent FIN
  bool done_ = false;      // has nothing more to say or hear
  std::vector<Request*> mine_;
  std::string name_;

 private:
  void send_some();
  void check_tokens(std::string_view bytes);

  std::optional<ScriptedPeer> peer_;
  std::optional<size_t> cut_;  // after that many bytes it goes, politely or not
  bool cut_by_reset_ = false;
  uint64_t diligence_;  // per cent of the chances that it takes to read
  size_t piece_ = 0;    // the most that it sends at once; 0: no limit
  size_t sent_ = 0;
  std::string tail_;  // of what came, for a token in two pieces
  bool gone_ = false;
  bool heard_all_ = false;
};

}  // namespace egret::test::sim
