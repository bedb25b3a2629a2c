// The request half of tests/data/http1.jsonl at the level of this room: what a case calls wrong
// must not get past the parser, the URL parser and the decoder; what it calls right must. The rest
// of a case (statuses, reuse, what the origin sees) is for the end-to-end tests.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "policy/url.h"
#include "proxy/http/body.h"
#include "proxy/http/forward.h"
#include "proxy/http/parser.h"

namespace egret::http {
namespace {

using nlohmann::json;
using std::string;
using std::string_view;

// The default of limits.request_headers.
constexpr size_t kMaxHead = 32 * 1024;

// The corpus holds each byte as the character of the same number.
string to_bytes(const string& utf8) {
  string out;
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto c = static_cast<uint8_t>(utf8[i]);
    if (c < 0x80) {
      out.push_back(utf8[i]);
    } else {
      out.push_back(static_cast<char>(((c & 3) << 6) | (utf8[++i] & 0x3f)));
    }
  }
  return out;
}

string replace_all(string text, string_view from, string_view to) {
  for (size_t at; (at = text.find(from)) != string::npos;) text.replace(at, from.size(), to);
  return text;
}

// `%d` of a {seq} part.
string numbered(const string& pattern, int number) {
  return replace_all(pattern, "%d", std::to_string(number));
}

string expand(const json& raw) {
  if (raw.is_string()) return to_bytes(raw.get<string>());
  string out;
  for (const json& part : raw) {
    if (part.is_string()) {
      out += to_bytes(part.get<string>());
      continue;
    }
    const int n = part.at("n");
    for (int i = 0; i < n; ++i) {
      out += part.contains("rep") ? to_bytes(part.at("rep")) : numbered(part.at("seq"), i);
    }
  }
  return out;
}

string bytes_of(const json& row) {
  string out;
  if (row.contains("segments")) {
    for (const json& segment : row["segments"]) out += to_bytes(segment.at(1));
  } else {
    out = expand(row["raw"]);
  }
  out = replace_all(out, "@@O@@", "127.0.0.1:9999");
  out = replace_all(out, "@@O2@@", "127.0.0.1:9998");
  out = replace_all(out, "@@OH@@", "127.0.0.1");
  out = replace_all(out, "@@PROXY@@", "127.0.0.1:4750");
  out = replace_all(out, "@@SELF@@", "self");
  // @@LEN:a|b@@ is the length of the lines a and b.
  for (size_t at; (at = out.find("@@LEN:")) != string::npos;) {
    const size_t end = out.find("@@", at + 6);
    const string lines = replace_all(out.substr(at + 6, end - at - 6), "|", "\r\n");
    out.replace(at, end + 2 - at, std::to_string(lines.size() + 2));
  }
  return out;
}

struct Outcome {
  bool refused = false;
  bool incomplete = false;
  string why;
  RequestHead head;
  string content;
};

void refuse(Outcome& out, const Failure& failure) {
  out.refused = true;
  out.why = string(name(failure.reason)) + ": " + failure.detail;
}

bool check_target(Outcome& out) {
  if (out.head.method == "CONNECT") {
    const auto authority = policy::parse_authority(out.head.target);
    if (!authority) refuse(out, authority.error());
    return authority.has_value();
  }
  const auto url = policy::parse_url(out.head.target);
  if (!url) refuse(out, url.error());
  return url.has_value();
}

// The first request in `bytes`, arriving `step` bytes at a time.
Outcome first_request(string_view bytes, size_t step) {
  Outcome out;
  bytes.remove_prefix(leading_crlf(bytes));
  size_t scanned = 0;
  size_t head_size = 0;
  for (size_t have = std::min(step, bytes.size());; have = std::min(have + step, bytes.size())) {
    const auto end = find_head_end(bytes.substr(0, have), scanned);
    if (!end) {
      refuse(out, end.error());
      return out;
    }
    head_size = *end;
    if (head_size > kMaxHead || (head_size == 0 && have > kMaxHead)) {
      refuse(out, {Reason::request_headers_too_large, {}});
      return out;
    }
    if (head_size > 0) break;
    if (have == bytes.size()) {
      out.incomplete = true;
      return out;
    }
  }
  if (const auto parsed = parse_request(bytes.substr(0, head_size), out.head); !parsed) {
    refuse(out, parsed.error());
    return out;
  }
  if (!check_target(out)) return out;
  BodyDecoder decoder(out.head.framing);
  for (string_view rest = bytes.substr(head_size); !decoder.done() && !rest.empty();) {
    const auto taken = decoder.next(rest.substr(0, step));
    if (!taken) {
      refuse(out, taken.error());
      return out;
    }
    out.content += taken->content;
    rest.remove_prefix(taken->consumed);
  }
  out.incomplete = !decoder.done();
  return out;
}

// Cases whose trouble lies beyond one request's bytes: the address, the second request, time.
bool is_about_more_than_bytes(const string& id) {
  static const std::set<string> kIds{"R-cn-private", "R-cn-early2", "R-rst", "L-059"};
  return kIds.contains(id);
}

string_view kind_of(const Outcome& outcome) {
  return outcome.refused ? "refused" : outcome.incomplete ? "incomplete" : "accepted";
}

void check(const json& row, const Outcome& outcome) {
  const string expect = row["expect"];
  const string kind(kind_of(outcome));
  if (expect == "reject" && !is_about_more_than_bytes(row["id"])) {
    EXPECT_NE(kind, "accepted");
  } else if (expect == "accept" || expect == "normalise") {
    EXPECT_EQ(kind, "accepted") << outcome.why;
    const json origin = row.value("origin", json::object());
    if (origin.contains("body") && row["cat"] != "connect") {
      EXPECT_EQ(outcome.content, to_bytes(origin["body"]));
    }
  } else if (expect == "wait") {
    EXPECT_EQ(kind, "incomplete") << outcome.why;
  }
}

// Whatever is accepted goes on as a head that Egret itself reads in the same way.
void check_forwarded(const Outcome& outcome) {
  if (outcome.refused || outcome.incomplete || outcome.head.method == "CONNECT") return;
  const auto url = policy::parse_url(outcome.head.target);
  string sent;
  append_request(sent, outcome.head, *url, outcome.head.framing, "egret");
  RequestHead again;
  const auto parsed = parse_request(sent, again);
  ASSERT_TRUE(parsed) << sent << parsed.error().detail;
  EXPECT_EQ(again.method, outcome.head.method);
  EXPECT_EQ(again.framing.length, outcome.head.framing.length);
  EXPECT_EQ(again.fields.find("host")->value, url->host_header());
  for (const char* name : {"proxy-authorization", "proxy-connection", "keep-alive", "te", "upgrade",
                           "proxy-authenticate", "connection"}) {
    EXPECT_EQ(again.fields.count(name), 0u) << name;
  }
}

TEST(FramingCorpus, EveryRequestHasTheOutcomeThatItsCaseNames) {
  std::ifstream file(EGRET_TEST_DATA "/http1.jsonl");
  ASSERT_TRUE(file);
  int cases = 0;
  for (string line; std::getline(file, line);) {
    const json row = json::parse(line);
    if (row["dir"] != "request") continue;
    ++cases;
    const string bytes = bytes_of(row);
    SCOPED_TRACE(row["id"].get<string>() + " (" + row["expect"].get<string>() +
                 "): " + row["title"].get<string>());
    const Outcome whole = first_request(bytes, bytes.size());
    check(row, whole);
    check_forwarded(whole);
    if (bytes.size() > 2048) continue;
    const Outcome split = first_request(bytes, 1);
    EXPECT_EQ(kind_of(split), kind_of(whole)) << split.why << " / " << whole.why;
    EXPECT_EQ(split.content, whole.content);
  }
  EXPECT_GT(cases, 400);
}

}  // namespace
}  // namespace egret::http
