#include "tests/support/proxy_corpus.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace egret::test {
namespace {

using nlohmann::json;

constexpr size_t kMostBytes = 2048;

// The corpus holds each byte as the character of the same number.
std::string to_bytes(const std::string& utf8) {
  std::string out;
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

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// `raw` is a text, or pieces of it: texts, {rep, n} and {seq, n, sep}. What is too long to be read
// is not expanded to its megabytes.
std::string expand(const json& raw) {
  if (raw.is_string()) return to_bytes(raw.get<std::string>());
  std::string out;
  for (const json& part : raw) {
    if (part.is_string()) {
      out += to_bytes(part.get<std::string>());
      continue;
    }
    const int times = part.at("n");
    for (int i = 0; i < times && out.size() < 2 * kMostBytes; ++i) {
      if (i > 0) out += to_bytes(part.value("sep", ""));
      out += part.contains("rep") ? to_bytes(part.at("rep"))
                                  : replace_all(to_bytes(part.at("seq")), "%d", std::to_string(i));
    }
  }
  return out;
}

std::string fill(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kPlaces[] = {
      {"@@O2H@@", "127.0.0.1"},        {"@@OH@@", "127.0.0.1"},
      {"@@O2@@", CorpusCase::kOther},  {"@@O@@", CorpusCase::kDestination},
      {"@@PROXY@@", "127.0.0.1:4750"}, {"@@SELF@@", "self"},
  };
  for (const auto& [mark, value] : kPlaces) text = replace_all(std::move(text), mark, value);
  // @@LEN:a|b@@ is the length of the lines a and b.
  for (size_t at; (at = text.find("@@LEN:")) != std::string::npos;) {
    const size_t end = text.find("@@", at + 6);
    const std::string lines = replace_all(text.substr(at + 6, end - at - 6), "|", "\r\n");
    text.replace(at, end + 2 - at, std::to_string(lines.size() + 2));
  }
  return text;
}

// A null says as little as an absent one.
std::string text(const json& of, const char* key) {
  return of.contains(key) && of[key].is_string() ? to_bytes(of[key]) : std::string();
}

std::vector<std::string> texts(const json& of, const char* key) {
  std::vector<std::string> out;
  for (const json& each : of.value(key, json::array())) out.push_back(to_bytes(each));
  return out;
}

CorpusCase read_case(const json& row) {
  CorpusCase out;
  out.id = row["id"];
  out.category = row["cat"];
  out.title = row["title"];
  out.expect = row["expect"];
  if (row.contains("segments")) {
    for (const json& segment : row["segments"]) out.bytes += to_bytes(segment.at(1));
  } else {
    out.bytes = expand(row["raw"]);
  }
  out.bytes = fill(std::move(out.bytes));
  out.end = text(row, "end");
  out.asked = fill(text(row, "client_request"));
  out.when = text(row, "when");
  out.must_not_reuse = row.value("must_not_reuse", false);
  const bool request = row["dir"] == "request";
  const json told = row.value(request ? "origin" : "client", json::object());
  out.status = (request ? row : told).value("status", std::vector<int>());
  if (told.contains("max_requests")) out.max_requests = told["max_requests"].get<size_t>();
  if (told.contains("body") && !told["body"].is_null()) out.body = text(told, "body");
  out.must_see = texts(told, "must_see");
  out.must_not_see = texts(told, "must_not_see");
  out.line = text(told, "line");
  out.host = fill(text(told, "host"));
  return out;
}

// Decompression, a name server or a clock, not bytes: other tests play these.
bool is_program(const json& row, const CorpusCase& read) {
  return row.contains("stream") || read.bytes.starts_with("@@");
}

}  // namespace

std::vector<CorpusCase> read_corpus(const std::string& path, std::string_view direction,
                                    std::string_view category) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<CorpusCase> out;
  for (std::string line; std::getline(file, line);) {
    const json row = json::parse(line);
    if (row["dir"] != direction || (!category.empty() && row["cat"] != category)) continue;
    CorpusCase read = read_case(row);
    if (read.bytes.size() < kMostBytes && !is_program(row, read)) out.push_back(std::move(read));
  }
  return out;
}

std::vector<std::string> corpus_categories(const std::string& path, std::string_view direction) {
  std::vector<std::string> out;
  for (CorpusCase& each : read_corpus(path, direction)) {
    if (std::ranges::find(out, each.category) == out.end()) out.push_back(std::move(each.category));
  }
  return out;
}

std::vector<std::string_view> Arrival::pieces(std::string_view bytes) const {
  if (first == 0 && !single) return {bytes};
  std::vector<std::string_view> out;
  if (!single) return {bytes.substr(0, first), bytes.substr(first)};
  for (size_t i = 0; i < bytes.size(); ++i) out.push_back(bytes.substr(i, 1));
  return out;
}

std::string Arrival::name() const {
  if (single) return "one byte at a time";
  return first == 0 ? "whole" : "split after " + std::to_string(first);
}

std::vector<Arrival> arrivals(size_t size) {
  std::vector<Arrival> out{{}};
  for (size_t at = 1; at < size; ++at) out.push_back({.first = at});
  if (size > 1) out.push_back({.single = true});
  return out;
}

}  // namespace egret::test
