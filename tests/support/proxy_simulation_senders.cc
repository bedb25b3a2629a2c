// The kinds of sender: one that keeps to the protocol, one with a tunnel, one that sends anything.
#include <algorithm>

#include "base/text.h"
#include "tests/support/proxy_simulation_sender.h"

namespace egret::test::sim {
namespace {

constexpr std::string_view kMethods[] = {"GET",  "GET", "POST",   "POST",   "POST",
                                         "HEAD", "PUT", "DELETE", "OPTIONS"};

class Polite final : public Sender {
 public:
  Polite(Stage& stage, size_t id, bool stranger)
      : Sender(stage, id, stranger),
        total_(stage.dice.between(1, 5)),
        depth_(stage.dice.percent(70) ? 1 : stage.dice.between(2, 4)),
        patient_(stage.dice.percent(80)) {
    name_ = "polite " + name_;
  }

 private:
  void prepare() override {
    if (stopped_) return;
    if (!held_back_.empty()) {
      if (continue_seen_ || !patient_) out_.swap(held_back_);
    } else if (mine_.size() < total_ && mine_.size() - answered_ < depth_) {
      const Request& request = make_request(stage_.dice.pick(kMethods));
      stage_.note(name_ + " has " + request.method + " " + request.token + " for " + request.host);
      continue_seen_ = false;
      const size_t first = request.expects ? request.head_size : request.wire.size();
      out_ = request.wire.substr(0, first);
      held_back_ = request.wire.substr(first);
      if (request.closes) total_ = mine_.size();
    }
  }

  void take(std::string_view bytes) override {
    reader_.add(bytes);
    while (true) {
      const bool to_head = answered_ < mine_.size() && mine_[answered_]->method == "HEAD";
      switch (reader_.next(to_head ? Kind::answer_to_head : Kind::answer)) {
        case MessageReader::Event::none:
          return;
        case MessageReader::Event::bad:
          stage_.wrong(name_ + " got content that is framed wrongly");
          return;
        case MessageReader::Event::head:
          if (stopped_) stage_.wrong(name_ + " got an answer after the last one");
          begin_answer(reader_.message().status());
          break;
        case MessageReader::Event::whole:
          take_whole(reader_.message());
      }
    }
  }

  void ended(bool cleanly) override {
    if (cleanly && reader_.in_body() && reader_.finish()) take_whole(reader_.message());
    if (!reader_.empty() && answered_ < mine_.size()) mine_[answered_]->answered = kCutShort;
  }

  void begin_answer(int status) {
    if (status >= 200 && answered_ < mine_.size()) mine_[answered_]->answered = status;
  }

  void take_whole(const Message& message) {
    if (message.status() == 100) continue_seen_ = true;
    if (message.status() < 200) return;
    check(message);
    ++answered_;
    if (stage_.sabotage == Sabotage::answers_twice && answered_ == 1) {
      check(message);
      ++answered_;
    }
    const bool last = text::equals_ignore_case(message.field("Connection"), "close");
    if (last || answered_ >= total_) {
      stopped_ = done_ = true;
      out_.clear();
    }
  }

  void check(const Message& message) {
    const std::string got = name_ + " got " + message.start;
    if (answered_ >= mine_.size()) {
      // Only a connection that is turned away hears something before it asks.
      if (answered_ > 0 || message.problem("reason") != "connection_limit") {
        stage_.wrong(got + ": one answer more than it has requests");
      }
      return;
    }
    Request& request = *mine_[answered_];
    request.answered = message.status();
    const std::string token = message.field("X-Token");
    if (token.empty()) {
      if (message.field("Proxy-Status").find("error=") == std::string::npos) {
        stage_.wrong(got + " of nobody");
      }
      const std::string about = message.problem("destination");
      if (!about.empty() && about.find(request.token) == std::string::npos) {
        stage_.wrong(got + " about " + about + " to " + request.token);
      }
      return;
    }
    if (token != request.token) {
      stage_.wrong(got + " of " + token + " to " + request.token);
      return;
    }
    const bool true_to_it =
        std::ranges::any_of(request.answers, [this, &message](const Request::Answered& sent) {
          if (sent.status != message.status()) return false;
          const bool cut = stage_.cuts_at(message.body.size()) &&
                           sent.body.size() > message.body.size() &&
                           sent.body.starts_with(message.body);
          return cut || (sent.complete && sent.body == message.body);
        });
    if (!true_to_it)
      stage_.wrong(got + ", whole, to " + token + "; no destination sent that whole");
  }

  size_t total_;
  size_t depth_;
  bool patient_;
  MessageReader reader_;
  std::string held_back_;  // content, until 100 (Continue)
  bool continue_seen_ = false;
  size_t answered_ = 0;
  bool stopped_ = false;
};

class WithTunnel final : public Sender {
 public:
  WithTunnel(Stage& stage, size_t id, bool stranger)
      : Sender(stage, id, stranger), goal_(stage.dice.size(50'000)) {
    name_ = "tunnel " + name_;
  }

 private:
  void prepare() override {
    if (asked_ == nullptr) {
      asked_ = &make_request("CONNECT");
      stage_.note(name_ + " asks for " + asked_->host + " with " + asked_->token);
      out_ = asked_->wire;
      if (!stage_.dice.percent(20)) return;  // otherwise it does not wait for the answer
    } else if (!opened_) {
      return;
    }
    const size_t more = std::min(goal_ - made_, stage_.dice.size(20'000));
    out_ += content_of(asked_->token, made_ + more).substr(made_);
    made_ += more;
    if (out_.empty() && made_ == goal_ && stage_.dice.percent(40)) finish();
  }

  void take(std::string_view bytes) override {
    if (!opened_) {
      head_ += bytes;
      const size_t end = head_.find("\r\n\r\n");
      if (end == std::string::npos || done_) return;
      opened_ = head_.starts_with("HTTP/1.1 200 ");
      done_ = !opened_;
      if (opened_) take_down(std::string_view(head_).substr(end + 4));
    } else {
      take_down(bytes);
    }
  }

  void take_down(std::string_view bytes) {
    if (!is_content(asked_->token, down_, bytes)) {
      stage_.wrong(name_ + " got bytes that its destination did not send");
    }
    down_ += bytes.size();
    if (down_ > asked_->down_sent) stage_.wrong(name_ + " got more than its destination sent");
  }

  void ended(bool cleanly) override {
    // A destination that has not learnt the token has said nothing that counts.
    if (!cleanly || !opened_ || asked_->seen == 0) return;
    if (down_ != asked_->down_sent || !asked_->down_finished) {
      stage_.wrong(name_ + " saw a clean end within what its destination sent");
    }
  }

  void sending(size_t bytes) override {
    Sender::sending(bytes);
    sent_ += bytes;
    if (sent_ > asked_->head_size) asked_->up_sent = sent_ - asked_->head_size;
  }
  void finishing() override {
    if (asked_ != nullptr) asked_->up_finished = true;
  }

  Request* asked_ = nullptr;
  std::string head_;
  bool opened_ = false;
  size_t goal_;
  size_t made_ = 0;
  size_t sent_ = 0;
  size_t down_ = 0;
};

class Hostile final : public Sender {
 public:
  Hostile(Stage& stage, size_t id, bool stranger) : Sender(stage, id, stranger) {
    name_ = "hostile " + name_;
  }

 private:
  void prepare() override {
    Dice& dice = stage_.dice;
    if (rounds_++ > 0 && dice.percent(60)) {
      done_ = true;
      if (dice.percent(50)) finish();
      return;
    }
    for (size_t requests = dice.between(1, 3); requests > 0; --requests) {
      Request& request =
          make_request(dice.percent(10) ? std::string_view("CONNECT") : dice.pick(kMethods));
      request.polite = false;
      out_ += request.wire;
    }
    switch (dice.below(8)) {
      case 0:  // a head that never ends
        out_.resize(dice.below(std::min<size_t>(out_.size(), 60)));
        for (size_t line = dice.size(2000); line > 0; --line) out_ += "X-More: of it\r\n";
        return;
      case 1:  // noise
        for (char& c : out_) c = static_cast<char>(dice.below(256));
        return;
      default:
        for (size_t wounds = dice.between(1, 4); wounds > 0; --wounds) mutate();
    }
  }

  void mutate() {
    static constexpr std::string_view kPieces[] = {"\r\n",
                                                   "\r\n\r\n",
                                                   "\n",
                                                   " ",
                                                   std::string_view("\0", 1),
                                                   "Transfer-Encoding: chunked\r\n",
                                                   "Content-Length: 5\r\n",
                                                   "http://10.99.0.1/",
                                                   "@",
                                                   "0\r\n\r\n"};
    Dice& dice = stage_.dice;
    if (out_.empty()) return;
    const size_t at = dice.below(out_.size());
    const size_t length = 1 + dice.size(20);
    switch (dice.below(4)) {
      case 0:
        out_[at] = static_cast<char>(out_[at] ^ (1 << dice.below(8)));
        break;
      case 1:
        out_.erase(at, length);
        break;
      case 2:
        out_.insert(at, out_.substr(at, length));
        break;
      default:
        out_.insert(at, dice.pick(kPieces));
    }
  }

  void take(std::string_view) override {}
  int rounds_ = 0;
};

}  // namespace

std::unique_ptr<Sender> Sender::make(Stage& stage, size_t id, bool stranger) {
  const uint64_t kind = stage.dice.below(100);
  if (kind < (stage.hostile ? 60U : 80U)) return std::make_unique<Polite>(stage, id, stranger);
  if (kind < 75 || !stage.hostile) return std::make_unique<WithTunnel>(stage, id, stranger);
  return std::make_unique<Hostile>(stage, id, stranger);
}

}  // namespace egret::test::sim
