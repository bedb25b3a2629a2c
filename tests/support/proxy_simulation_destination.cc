#include "tests/support/proxy_simulation_destination.h"

#include <algorithm>

#include "base/text.h"

namespace egret::test::sim {

Destination::Destination(Stage& stage, size_t id, std::string_view endpoint, ScriptedPeer peer)
    : stage_(stage),
      name_("destination " + std::to_string(id) + " at " + std::string(endpoint)),
      place_(place_of(endpoint)),
      peer_(std::move(peer)),
      diligence_(stage.dice.percent(75) ? 100 : stage.dice.between(1, 50)) {}

void Destination::act() {
  if (gone_) return;
  if (stage_.dice.percent(diligence_)) look();
  if (gone_) return;
  if (place_.port == kTunnelPort) {
    say_in_tunnel();
  } else if (answering_) {
    answer_some();
  } else if (!under_way_) {
    idle();
  }
}

void Destination::look() {
  if (gone_) return;
  const std::string bytes = peer_.take_received();
  if (!bytes.empty()) {
    stage_.note(name_ + " gets " + std::to_string(bytes.size()));
    if (place_.port == kTunnelPort) {
      take_tunnel(bytes);
    } else if (!anything_) {
      reader_.add(bytes);
      take_request();
    }
    return;
  }
  if (!peer_.received_eof() && !peer_.was_reset()) return;
  stage_.note(name_ + (peer_.was_reset() ? " was reset" : " sees the end"));
  const bool cleanly = !peer_.was_reset();
  if (place_.port == kTunnelPort && cleanly) {
    const bool whole = request_ == nullptr || !request_->polite ||
                       (up_ == request_->up_sent && request_->up_finished);
    if (!whole) stage_.wrong(name_ + " saw a clean end within what the sender sent");
    if (!finished_ && stage_.dice.percent(70)) return;  // it may go on saying things
  }
  leave();
}

void Destination::leave() {
  if (gone_) return;
  if (!finished_) finish();
  gone_ = true;
  peer_.close();
}

void Destination::finish() {
  stage_.note(name_ + " sends FIN");
  finished_ = true;
  if (request_ != nullptr) request_->down_finished = true;
  if (record_ != nullptr && answering_ && plan_.until_close && said_ >= plan_.body_at) {
    record_->body = plan_.wire.substr(plan_.body_at, said_ - plan_.body_at);
    record_->complete = true;
  }
  answering_ = false;
  peer_.finish();
}

void Destination::reset() {
  stage_.note(name_ + " resets");
  gone_ = true;
  peer_.reset();
}

void Destination::take_request() {
  while (true) {
    switch (reader_.next(Kind::request)) {
      case MessageReader::Event::none:
        return;
      case MessageReader::Event::bad:
        stage_.wrong(name_ + " got content that is framed wrongly");
        return;
      case MessageReader::Event::head:
        on_head(reader_.message());
        break;
      case MessageReader::Event::whole:
        on_whole(reader_.message());
    }
  }
}

void Destination::on_head(const Message& message) {
  if (spoiled_) stage_.wrong(name_ + " got a request on a connection that was done");
  if (under_way_) stage_.wrong(name_ + " got a request before it had answered the last");
  under_way_ = true;
  check_clean(message);
  const auto tokens = tokens_in(message.head);
  request_ = nullptr;
  for (const std::string_view token : tokens) {
    if (request_ == nullptr) request_ = stage_.find(token);
  }
  check_tokens(message.head, request_);
  record_ = nullptr;
  const std::string method = message.start.substr(0, message.start.find(' '));
  std::string token;
  if (request_ != nullptr) {
    token = request_->token;
    request_->seen += stage_.sabotage == Sabotage::forwards_twice ? 30 : 1;
    check_addressed(*request_);
    check_secrets(message, *request_);
    if (stage_.sabotage == Sabotage::swaps_answers) token = stage_.requests.front().token;
  }
  plan_ = make_answer(stage_, token, method);
  stage_.note(name_ + " got the head of " + method + " " + token + ", will say " +
              plan_.wire.substr(0, 15) + " (" + std::to_string(plan_.wire.size()) + ")");
  if (request_ != nullptr) record_ = &request_->answers.emplace_back(plan_.answer);
  said_ = 0;
  answering_ = plan_.early;
}

void Destination::on_whole(const Message& message) {
  check_tokens(message.body, request_);
  if (request_ != nullptr && request_->polite && message.body != request_->body) {
    stage_.wrong(name_ + " got " + std::to_string(message.body.size()) + " bytes as the whole of " +
                 request_->token + ", which has " + std::to_string(request_->body.size()));
  }
  if (!plan_.early && !finished_) answering_ = true;
}

// Whatever the sender sent, what goes on is one clean request.
void Destination::check_clean(const Message& message) {
  const std::string& start = message.start;
  const bool fine = start.ends_with(" HTTP/1.1") && std::ranges::count(start, ' ') == 2 &&
                    message.count("Host") == 1 &&
                    message.count("Content-Length") + message.count("Transfer-Encoding") <= 1 &&
                    message.field("Via").find("egret-test") != std::string::npos;
  if (!fine) stage_.wrong(name_ + " got no clean request: " + message.head);
  for (const char* gone : {"Connection", "Expect", "Proxy-Authorization", "Upgrade", "TE"}) {
    if (message.count(gone) > 0) stage_.wrong(name_ + " got a field of another hop: " + gone);
  }
}

void Destination::check_addressed(const Request& request) {
  if (!request.polite) return;
  const std::string what = name_ + " got " + request.token;
  const std::optional<size_t> slot = stage_.universe.slot_of(place_.address);
  const bool led = stage_.most_redirects() > 0 &&
                   std::ranges::any_of(request.led, [&](const Request::Led& led_to) {
                     return led_to.slot == slot && led_to.port == place_.port;
                   });
  if (!led && (slot != request.slot || place_.port != request.port)) {
    stage_.wrong(what + ", which is for " + request.host);
  }
  if (!stage_.permitted_since(request.sent_at, place_,
                              request.stranger ? Stage::Who::stranger : Stage::Who::known)) {
    stage_.wrong(what + ", which no configuration since it was sent permits");
  }
  const int walks = stage_.most_attempts() + stage_.most_redirects();
  if (request.seen > (request.repeatable ? 2 : 1) * walks) {
    stage_.wrong(what + " " + std::to_string(request.seen) + " times");
  }
}

// Credentials are for the origin that the sender named.
void Destination::check_secrets(const Message& message, const Request& request) {
  if (!request.polite) return;
  const bool home = message.field("Host") == request.authority();
  for (const char* secret : {"Authorization", "X-Api-Key", "Cookie"}) {
    if (!home && message.count(secret) > 0) {
      stage_.wrong(name_ + " got another origin's " + secret + " with " + request.token);
    }
    // Who was redirected may have left them behind.
    if (home && message.count(secret) == 0 && request.led.empty()) {
      stage_.wrong(name_ + " did not get " + secret + " with " + request.token);
    }
  }
}

void Destination::check_tokens(std::string_view bytes, const Request* of) {
  for (const std::string_view token : tokens_in(bytes)) {
    const Request* other = stage_.find(token);
    if (other == nullptr || other == of) continue;
    // A mutation may have joined two requests of a sender, or taken the token out of a head.
    const bool one_hostile_sender =
        !other->polite && (of == nullptr || (!of->polite && of->sender == other->sender));
    if (!one_hostile_sender) stage_.wrong(name_ + " got bytes of another: " + other->token);
  }
}

void Destination::take_tunnel(std::string_view bytes) {
  if (request_ != nullptr) {
    if (request_->polite && !is_content(request_->token, up_, bytes)) {
      stage_.wrong(name_ + " got bytes in a tunnel that the sender did not send");
    }
    up_ += bytes.size();
    return;
  }
  opening_ += bytes;
  up_ += bytes.size();
  if (opening_.size() < kTokenSize) return;
  request_ = stage_.find(std::string_view(opening_).substr(0, kTokenSize));
  if (request_ == nullptr || !request_->polite) return;
  request_->down_finished = finished_;
  request_->seen++;
  check_addressed(*request_);
  if (!is_content(request_->token, 0, opening_)) {
    stage_.wrong(name_ + " got bytes in a tunnel that the sender did not send");
  }
}

void Destination::say_in_tunnel() {
  if (finished_) return;
  Dice& dice = stage_.dice;
  if (dice.percent(2)) return reset();
  if (request_ == nullptr || dice.percent(10)) {
    if (dice.percent(10)) finish();
    return;
  }
  const size_t more = dice.size(8000);
  const std::string bytes =
      content_of(request_->token, request_->down_sent + more).substr(request_->down_sent);
  request_->down_sent += more;
  stage_.note(name_ + " says " + std::to_string(more));
  peer_.feed(bytes);
}

void Destination::answer_some() {
  if (plan_.silent) return;
  Dice& dice = stage_.dice;
  const size_t end = std::min(plan_.cut.value_or(SIZE_MAX), plan_.wire.size());
  size_t until = dice.percent(60) ? end : std::min(end, said_ + 1 + dice.size(plan_.wire.size()));
  // Bytes behind an answer come with its last: later they could be taken for the next one.
  if (until >= plan_.whole_at) until = end;
  const std::string_view piece = std::string_view(plan_.wire).substr(said_, until - said_);
  said_ = until;
  if (plan_.spoils && (said_ == end || said_ >= plan_.whole_at)) spoiled_ = true;
  const bool complete = !plan_.until_close && said_ >= plan_.whole_at;
  if (record_ != nullptr && stage_.sabotage != Sabotage::cuts_unseen) record_->complete = complete;
  stage_.note(name_ + " says " + std::to_string(piece.size()) + (complete ? ", all" : ""));
  peer_.feed(piece);
  if (said_ == end) end_answer();
}

void Destination::end_answer() {
  if (plan_.cut) {
    spoiled_ |= plan_.cut != plan_.wire.size();
    if (plan_.cut_by_reset) return reset();
    return finish();
  }
  if (plan_.closes) return finish();
  answering_ = false;
  under_way_ = false;
}

// On a connection that waits for a request.
void Destination::idle() {
  Dice& dice = stage_.dice;
  const bool waits = !under_way_ && !reader_.in_body() && reader_.empty();
  if (finished_ || spoiled_ || !waits || !dice.percent(8)) return;
  if (dice.percent(50)) return dice.percent(70) ? finish() : reset();
  if (stage_.expecting) return;
  // An answer that nobody asked for, when surely nobody does: what is on its way arrives first.
  stage_.loop.run_until_idle();
  look();
  if (gone_ || under_way_ || !reader_.empty()) return;
  stage_.note(name_ + " says what nobody asked for");
  peer_.feed("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + stage_.poison);
  stage_.loop.run_until_idle();
  spoiled_ = true;
}

}  // namespace egret::test::sim
