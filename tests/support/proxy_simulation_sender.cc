#include "tests/support/proxy_simulation_sender.h"

#include <algorithm>

#include "base/text.h"

namespace egret::test::sim {
namespace {

std::string chunked(Dice& dice, std::string_view body) {
  std::string out;
  while (!body.empty()) {
    const std::string_view piece = body.substr(0, 1 + dice.size(body.size() - 1));
    static constexpr std::string_view kHex = "0123456789abcdef";
    std::string size;
    for (size_t left = piece.size(); left > 0; left /= 16) size.insert(0, 1, kHex[left % 16]);
    out += size + (dice.percent(10) ? ";a=b" : "") + "\r\n" + std::string(piece) + "\r\n";
    body.remove_prefix(piece.size());
  }
  return out + (dice.percent(10) ? "0\r\nTrailer-Of: this\r\n\r\n" : "0\r\n\r\n");
}

// Writes head and content as they go over the wire.
void write(Dice& dice, Request& request, bool http_1_0) {
  const std::string authority = request.host + ":" + std::to_string(request.port);
  const bool tunnel = request.method == "CONNECT";
  std::string& out = request.wire;
  out = request.method + " " + (tunnel ? authority : "http://" + authority + "/" + request.token) +
        (http_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n") + "Host: " + authority +
        "\r\nX-Token: " + request.token + "\r\n";
  if (!tunnel) {
    out +=
        "Authorization: Bearer secret\r\nCookie: a=secret\r\nX-Api-Key: secret\r\n"
        "Egret-Sensitive: x-api-key\r\n";
  }
  if (request.closes && !http_1_0) out += "Connection: close\r\n";
  if (http_1_0 && !request.closes) out += "Connection: keep-alive\r\n";
  if (request.method == "POST" && dice.percent(20)) {
    out += "Idempotency-Key: k\r\n";
    request.repeatable = true;
  }
  if (request.expects) out += "Expect: 100-continue\r\n";
  const bool in_chunks = !http_1_0 && dice.percent(30);
  std::string content;
  if (request.body.empty()) {
    if (request.method == "POST") out += "Content-Length: 0\r\n";
  } else if (in_chunks) {
    out += "Transfer-Encoding: chunked\r\n";
    content = chunked(dice, request.body);
  } else {
    out += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
    content = request.body;
  }
  out += "\r\n";
  request.head_size = out.size();
  out += content;
}

}  // namespace

Sender::Sender(Stage& stage, size_t id, bool stranger)
    : stage_(stage), id_(id), stranger_(stranger), name_("sender " + std::to_string(id)) {
  Dice& dice = stage.dice;
  if (dice.percent(25)) cut_ = dice.size(4000);
  cut_by_reset_ = dice.percent(50);
  diligence_ = dice.percent(70) ? 100 : dice.between(1, 50);
  if (dice.percent(40)) piece_ = 1 + dice.size(400);
}

void Sender::act() {
  if (gone_) return;
  if (stage_.dice.percent(diligence_)) look();
  if (gone_) return;
  if (out_.empty() && !finished_) prepare();
  if (!out_.empty()) {
    send_some();
  } else if (done_ && stage_.dice.percent(30)) {
    leave();
  }
}

void Sender::send_some() {
  size_t bytes = out_.size();
  if (piece_ > 0) bytes = std::min(bytes, 1 + stage_.dice.below(piece_));
  const bool cuts = cut_ && sent_ + bytes >= *cut_;
  if (cuts) bytes = *cut_ - std::min(*cut_, sent_);
  stage_.note(name_ + " sends " + std::to_string(bytes));
  sending(bytes);
  sent_ += bytes;
  peer_->feed(std::string_view(out_).substr(0, bytes));
  out_.erase(0, bytes);
  if (!cuts) return;
  out_.clear();
  cut_.reset();
  if (cut_by_reset_) {
    stage_.note(name_ + " resets");
    gone_ = true;
    peer_->reset();
  } else {
    finish();
    done_ = true;
  }
}

void Sender::finish() {
  stage_.note(name_ + " sends FIN");
  finishing();
  finished_ = true;
  peer_->finish();
}

void Sender::sending(size_t bytes) {
  if (bytes == 0) return;
  for (Request* request : mine_) {
    if (request->sent_at == TimePoint{}) request->sent_at = stage_.loop.now();
  }
}

void Sender::look() {
  if (gone_) return;
  const std::string bytes = peer_->take_received();
  if (!bytes.empty()) {
    stage_.note(name_ + " gets " + std::to_string(bytes.size()));
    check_tokens(bytes);
    take(bytes);
  }
  // What was sent last may come now that there is room.
  if (!peer_->was_reset() && !(peer_->received_eof() && bytes.empty())) return;
  stage_.note(name_ + (peer_->was_reset() ? " was reset" : " sees the end"));
  heard_all_ = !peer_->was_reset();
  ended(heard_all_);
  leave();
}

void Sender::leave() {
  if (gone_) return;
  stage_.note(name_ + " closes");
  if (!finished_) finishing();
  gone_ = true;
  peer_->close();
}

void Sender::check_tokens(std::string_view bytes) {
  tail_ += bytes;
  for (const std::string_view token : tokens_in(tail_)) {
    if (token == stage_.poison) stage_.wrong(name_ + " got what no sender may ever get");
    const Request* request = stage_.find(token);
    if (request != nullptr && request->sender != id_) {
      stage_.wrong(name_ + " got bytes of " + request->token + ", which is another's");
    }
  }
  tail_.erase(0, tail_.size() - std::min(tail_.size(), kTokenSize - 1));
}

Request& Sender::make_request(std::string_view method) {
  Dice& dice = stage_.dice;
  Request& request = stage_.make_request(id_);
  mine_.push_back(&request);
  request.stranger = stranger_;
  request.method = method;
  const bool tunnel = method == "CONNECT";
  request.port = tunnel ? kTunnelPort : dice.percent(80) ? 80 : 8080;
  request.slot = dice.below(stage_.universe.names().size());
  request.host = stage_.universe.names()[request.slot].text;
  if (request.host.empty()) request.host = stage_.universe.literal(dice.percent(60));
  if (dice.percent(3)) request.host = dice.percent(50) ? "localhost" : "169.254.169.254";
  const bool has_body = method == "POST" || method == "PUT";
  if (has_body) {
    const bool large = dice.percent(15);
    request.body = content_of(request.token, large ? dice.size(100'000) : dice.size(1000));
  }
  const bool http_1_0 = !tunnel && dice.percent(10);
  request.closes = dice.percent(10) || (http_1_0 && dice.percent(50));
  request.expects =
      stage_.expecting && has_body && !request.body.empty() && !http_1_0 && dice.percent(40);
  request.repeatable = !tunnel && method != "POST";
  write(dice, request, http_1_0);
  return request;
}

}  // namespace egret::test::sim
