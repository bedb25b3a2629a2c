// The default policy against tests/data/addresses.tsv: what other projects' suites, the RFCs and
// IANA say of an address, host, URL or authority.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "policy/judge.h"

namespace egret::policy {
namespace {

struct Row {
  std::string id, kind, written, expected, also, reason, source;
};

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
    } else if (text[i + 1] == 'x' && i + 3 < text.size()) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 2, 2)), nullptr, 16));
      i += 3;
    } else {
      out += text[++i];
    }
  }
  return out;
}

std::vector<Row> read_corpus() {
  std::ifstream file(std::string(EGRET_TEST_DATA) + "/addresses.tsv");
  std::vector<Row> rows;
  std::string line;
  std::getline(file, line);  // the header
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    Row row;
    for (auto* field :
         {&row.id, &row.kind, &row.written, &row.expected, &row.also, &row.reason, &row.source}) {
      std::getline(fields, *field, '\t');
    }
    row.written = unescape(row.written);
    rows.push_back(row);
  }
  return rows;
}

const Judge& default_judge() {
  static const Judge judge = [] {
    Rule defaults;
    defaults.name = "defaults";
    return Judge(Mode::enforce, defaults, {}, {{*Prefix::parse("64:ff9b::/96")}, {}});
  }();
  return judge;
}

struct Outcome {
  std::string verdict;  // allow, deny, bad
  std::string detail;
};

Outcome outcome_of(const Failure& failure) {
  return {status(failure.reason) == 400 ? "bad" : "deny", failure.detail};
}

Outcome judge_destination(const Host& host, uint16_t port, bool connect,
                          std::vector<Address> resolved = {}) {
  const Ask ask{.sender = "",
                .method = connect ? "CONNECT" : "GET",
                .connect = connect,
                .host = &host,
                .port = port,
                .path = connect ? "" : "/"};
  const auto verdict = default_judge().judge(ask);
  if (verdict.refusal) return outcome_of(*verdict.refusal);
  if (host.literal) resolved = {*host.literal};
  const auto loopback = localhost_addresses(host);
  if (!loopback.empty()) resolved.assign(loopback.begin(), loopback.end());
  if (resolved.empty()) return {"allow", "left to DNS"};
  const auto permitted = default_judge().permit(*verdict.rule, port, resolved);
  if (!permitted) return outcome_of(permitted.error());
  return {"allow", permitted.value().front().endpoint().to_string()};
}

Outcome judge_url(const std::string& text, std::vector<Address> resolved = {}) {
  const auto url = parse_url(text, Fragment::drop);
  if (!url) return outcome_of(url.error());
  return judge_destination(url->host, url->port, false, std::move(resolved));
}

// "public DNS name that answers 127.0.0.1; …"
std::vector<Address> answer_in(const std::string& reason) {
  const std::string mark = "answers ";
  const auto at = reason.find(mark) + mark.size();
  const auto address = Address::parse(reason.substr(at, reason.find(';') - at));
  EXPECT_TRUE(address) << reason;
  return {address.value_or(Address())};
}

Outcome judge_row(const Row& row) {
  if (row.kind == "url") return judge_url(row.written);
  if (row.kind == "host") return judge_url("http://" + row.written + "/");
  if (row.kind == "dnsname") return judge_url("http://" + row.written + "/", answer_in(row.reason));
  if (row.kind == "authority") {
    const auto authority = parse_authority(row.written);
    if (!authority) return outcome_of(authority.error());
    return judge_destination(authority->host, authority->port, true);
  }
  const bool v6 = row.written.find(':') != std::string::npos;
  return judge_url("http://" + (v6 ? "[" + row.written + "]" : row.written) + "/");
}

bool accepts(const Row& row, const std::string& verdict) {
  return row.expected == verdict ||
         ("," + row.also + ",").find("," + verdict + ",") != std::string::npos;
}

TEST(Corpus, EveryRowIsJudgedAsItsSourcesSay) {
  const auto rows = read_corpus();
  ASSERT_GT(rows.size(), 700U);
  size_t other_than_expected = 0;
  for (const auto& row : rows) {
    const auto outcome = judge_row(row);
    EXPECT_TRUE(accepts(row, outcome.verdict))
        << row.id << " " << row.kind << " " << row.written << "\n  expected " << row.expected
        << " or (" << row.also << "), is " << outcome.verdict << ": " << outcome.detail << "\n  "
        << row.reason;
    other_than_expected += outcome.verdict != row.expected;
  }
  RecordProperty("judged_as_an_also_acceptable", static_cast<int>(other_than_expected));
}

}  // namespace
}  // namespace egret::policy
