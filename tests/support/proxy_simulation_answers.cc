// What destinations say: well, badly, in part.
#include <algorithm>

#include "tests/support/proxy_simulation_destination.h"

namespace egret::test::sim {
namespace {

constexpr std::string_view kStatuses[] = {
    "200 OK",    "200 OK",    "200 OK",         "201 Made",       "404 Not Here",  "500 Broken",
    "302 Found", "503 Later", "307 Over There", "308 Over There", "307 Over There"};

std::string chunks(Dice& dice, std::string_view body) {
  std::string out;
  while (!body.empty()) {
    const std::string_view piece = body.substr(0, 1 + dice.size(body.size() - 1));
    static constexpr std::string_view kHex = "0123456789abcdef";
    std::string size;
    for (size_t left = piece.size(); left > 0; left /= 16) size.insert(0, 1, kHex[left % 16]);
    out.append(size).append("\r\n").append(piece).append("\r\n");
    body.remove_prefix(piece.size());
  }
  return out;
}

// None of these may reach a sender: the poison in them would tell.
AnswerPlan make_malformed(Stage& stage) {
  static constexpr std::string_view kWays[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\nX: POISON\r\n\r\nabcd",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nX: POISON\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nX: POISON\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: +3\r\nX: POISON\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nX : POISON\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX: POISON\r\n folded\r\nContent-Length: 0\r\n\r\n",
      "HTTP/2 200 OK\r\nX: POISON\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 99 Low\r\nX: POISON\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nX: POISON\r\n\r\n",
      "POISON\r\n\r\n",
      "\r\n\r\nPOISON",
      "HTTP/1.1 200 OK\r\nX: POISON\rY: z\r\nContent-Length: 0\r\n\r\n",
  };
  AnswerPlan plan;
  plan.wire = stage.dice.pick(kWays);
  plan.wire.replace(plan.wire.find("POISON"), 6, stage.poison);
  plan.spoils = true;
  plan.closes = stage.dice.percent(50);
  return plan;
}

void add_interim(Stage& stage, std::string& out) {
  static constexpr std::string_view kWays[] = {"HTTP/1.1 100 Continue\r\n\r\n",
                                               "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
                                               "HTTP/1.1 102 Processing\r\n\r\n"};
  for (size_t times = stage.dice.between(1, 3); times > 0; --times) out += stage.dice.pick(kWays);
}

// Where a redirect leads: to anywhere in the universe, under the request's token; or nowhere.
std::string make_location(Stage& stage, Request& request) {
  Dice& dice = stage.dice;
  static constexpr std::string_view kOdd[] = {"file:///etc/passwd",
                                              "http://",
                                              "http://169.254.169.254/latest",
                                              "http://user:pw@alpha-one.io/",
                                              "//localhost/",
                                              "http://metadata.google.internal/",
                                              "/b c",
                                              "http://127.1/",
                                              ""};
  const uint64_t what = dice.below(10);
  if (what == 0) return std::string(dice.pick(kOdd));
  const std::string path =
      "/" + request.token + (dice.percent(50) ? "/" + std::to_string(dice.below(4)) : "");
  if (what < 3) {
    request.led.push_back({request.slot, request.port});
    return path;
  }
  const size_t slot = dice.below(stage.universe.names().size());
  std::string host = stage.universe.names()[slot].text;
  if (host.empty()) host = stage.universe.literal(dice.percent(60));
  const uint16_t port = dice.percent(80) ? 80 : 8080;
  request.led.push_back({slot, port});
  return "http://" + host + ":" + std::to_string(port) + path;
}

}  // namespace

AnswerPlan make_answer(Stage& stage, std::string_view token, std::string_view method) {
  Dice& dice = stage.dice;
  if (dice.percent(8)) return make_malformed(stage);
  AnswerPlan plan;
  plan.early = dice.percent(10);
  plan.silent = dice.percent(4);
  std::string status(dice.pick(kStatuses));
  if (dice.percent(10)) status = "204 Nothing";
  plan.answer.status = std::stoi(status);
  const bool bodiless = method == "HEAD" || plan.answer.status == 204;
  std::string body = content_of(token, dice.percent(15) ? dice.size(80'000) : dice.size(800));
  if (token.empty()) body = "a mutation made this request";
  const bool http_1_0 = dice.percent(10);
  if (dice.percent(15)) add_interim(stage, plan.wire);
  plan.wire += std::string(http_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ") + status + "\r\n";
  if (!token.empty()) plan.wire += "X-Token: " + std::string(token) + "\r\n";
  Request* request = stage.find(token);
  if (plan.answer.status / 100 == 3 && request != nullptr && request->polite) {
    plan.wire += "Location: " + make_location(stage, *request) + "\r\n";
  }
  if (plan.answer.status == 503 && dice.percent(30)) {
    plan.wire += "Retry-After: " + std::to_string(dice.below(4)) + "\r\n";
  }
  plan.closes = http_1_0 || dice.percent(20);
  if (plan.closes && !http_1_0) plan.wire += "Connection: close\r\n";
  const uint64_t framing = dice.below(10);
  const bool in_chunks = framing < 3 && !http_1_0;
  plan.until_close = framing == 3 && !bodiless;
  if (in_chunks && plan.answer.status != 204) plan.wire += "Transfer-Encoding: chunked\r\n";
  if (!in_chunks && !plan.until_close && plan.answer.status != 204) {
    plan.wire += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  }
  plan.wire += "\r\n";
  plan.body_at = plan.wire.size();
  if (!bodiless) {
    plan.answer.body = body;
    plan.wire += in_chunks ? chunks(dice, body) : body;
    // A chunk that is none: what came before it must not become an answer.
    if (in_chunks && dice.percent(10)) {
      plan.wire += "zz\r\n" + stage.poison + "\r\n";
      plan.spoils = true;
      return plan;
    }
    if (in_chunks) plan.wire += dice.percent(20) ? "0\r\nT: x\r\n\r\n" : "0\r\n\r\n";
  }
  plan.whole_at = plan.wire.size();
  plan.closes |= plan.until_close;
  plan.spoils = plan.closes;
  if (!plan.until_close && dice.percent(6)) {
    plan.wire += dice.percent(50) ? stage.poison
                                  : "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + stage.poison;
    plan.spoils = true;
  }
  if (dice.percent(12)) plan.cut = dice.below(plan.wire.size() + 1);
  plan.cut_by_reset = dice.percent(50);
  return plan;
}

}  // namespace egret::test::sim
