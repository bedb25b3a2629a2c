#pragma once

#include <algorithm>

#include "tests/support/proxy_simulation_stage.h"

namespace egret::test::sim {

// What a destination is going to say to one request.
struct AnswerPlan {
  std::string wire;
  size_t body_at = 0;          // where the content begins
  size_t whole_at = SIZE_MAX;  // this many bytes are an answer; never, when it is malformed
  bool until_close = false;    // the content ends with the connection
  bool early = false;          // does not wait for the request's content
  bool spoils = false;         // no other request may come on this connection
  bool closes = false;
  bool silent = false;
  std::optional<size_t> cut;  // that many bytes, then it goes
  bool cut_by_reset = false;
  Request::Answered answer;
};
AnswerPlan make_answer(Stage& stage, std::string_view token, std::string_view method);

// Destination is the far end of one connection that the gateway made.
//   It checks all that comes: that a request is clean, addressed to it, let by the configuration,
//   of one token, whole when it looks whole, and not one time too often.
class Destination {
 public:
  Destination(Stage& stage, size_t id, std::string_view endpoint, ScriptedPeer peer);
  // Does one thing.
  void act();
  // Takes what came and checks it.
  void look();
  void leave();
  [[nodiscard]] bool gone() const { return gone_; }

 private:
  void take_request();
  void on_head(const Message& message);
  void on_whole(const Message& message);
  void check_clean(const Message& message);
  void check_addressed(const Request& request);
  void check_secrets(const Message& message, const Request& request);
  void check_tokens(std::string_view bytes, const Request* of);
  void take_tunnel(std::string_view bytes);
  void say_in_tunnel();
  void answer_some();
  void end_answer();
  void idle();
  void finish();
  void reset();

  Stage& stage_;
  const std::string name_;
  const Place place_;
  ScriptedPeer peer_;
  // A mutation made the port: anything may come, of a tunnel or not.
  const bool anything_ = std::ranges::find(kPlainPorts, place_.port) == std::end(kPlainPorts) &&
                         place_.port != kTunnelPort;
  uint64_t diligence_;
  bool gone_ = false;
  bool finished_ = false;

  MessageReader reader_;
  Request* request_ = nullptr;  // the one that is under way, if it has a token
  bool under_way_ = false;      // its head came, its answer is not out
  bool spoiled_ = false;
  AnswerPlan plan_;
  bool answering_ = false;
  size_t said_ = 0;  // of plan_.wire
  Request::Answered* record_ = nullptr;

  std::string opening_;  // a tunnel's bytes until its token is known
  size_t up_ = 0;
};

}  // namespace egret::test::sim
