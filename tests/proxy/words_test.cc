// What Egret says in its own words, byte for byte: refusals, log lines, metrics.

#include <gtest/gtest.h>

#include "proxy/metrics.h"
#include "proxy/record.h"
#include "proxy/reply.h"

namespace egret::proxy {
namespace {

using namespace std::chrono_literals;

Record sample() {
  Record record;
  record.id = 0x1234abcd;
  record.wall = WallTime(std::chrono::seconds(1'767'323'045) + 6ms);
  record.listener = "127.0.0.1:4750";
  record.sender = "billing";
  record.rule = "partners";
  record.method = "POST";
  record.destination = "http://hooks.acme.io/in";
  return record;
}

TEST(Reply, IsTheWholeAnswer) {
  const Failure failure{Reason::address_prohibited, "10.0.0.1 is in 10.0.0.0/8."};
  const std::string body =
      R"({"type":"urn:egret:reason:address_prohibited","title":"The address is not allowed",)"
      R"("status":403,"detail":"10.0.0.1 is in 10.0.0.0/8.","reason":"address_prohibited",)"
      R"("rule":"partners","destination":"http://hooks.acme.io/in",)"
      R"("request_id":"000000001234abcd"})"
      "\n";
  EXPECT_EQ(refusal(failure, sample(), {.keep_alive = true}),
            "HTTP/1.1 403 Forbidden\r\n"
            "Content-Type: application/problem+json\r\n"
            "Content-Length: " +
                std::to_string(body.size()) +
                "\r\n"
                "Proxy-Status: egret; error=destination_ip_prohibited; "
                "details=\"10.0.0.1 is in 10.0.0.0/8.\"\r\n\r\n" +
                body);
}

TEST(Reply, NeverLetsADetailOutOfItsField) {
  const Failure failure{Reason::url_malformed, "a\"b\\c\r\nSet-Cookie: x=1\x7f\xC3\xA9\xFF"};
  const std::string reply = refusal(failure, sample(), {});
  const std::string head = reply.substr(0, reply.find("\r\n\r\n"));
  EXPECT_NE(head.find(R"(details="a\"b\\c??Set-Cookie: x=1????")"), std::string::npos) << head;
  EXPECT_EQ(head.find("\r\nSet-Cookie"), std::string::npos);
  const std::string body = reply.substr(reply.find("\r\n\r\n") + 4);
  EXPECT_NE(body.find(R"("detail":"a\"b\\c\u000d\u000aSet-Cookie: x=1\u007f)"
                      "\xC3\xA9\xEF\xBF\xBD\""),
            std::string::npos)
      << body;
}

TEST(Reply, HasWhatItsStatusNeeds) {
  const auto reply = [](Reason reason, const ReplyContext& context) {
    return refusal({reason, "why"}, sample(), context);
  };
  EXPECT_NE(reply(Reason::credentials_missing, {})
                .find("\r\nProxy-Authenticate: Basic realm=\"egret\", charset=\"UTF-8\"\r\n"
                      "Proxy-Authenticate: Bearer realm=\"egret\"\r\n"),
            std::string::npos);
  for (const Reason reason : {Reason::in_flight_limit, Reason::draining, Reason::connection_limit,
                              Reason::out_of_resources}) {
    EXPECT_NE(reply(reason, {}).find("\r\nRetry-After: 1\r\n"), std::string::npos) << name(reason);
  }
  EXPECT_NE(reply(Reason::rule_denied, {}).find("\r\nConnection: close\r\n"), std::string::npos);
  EXPECT_EQ(reply(Reason::rule_denied, {.keep_alive = true}).find("\r\nConnection:"),
            std::string::npos);
  const std::string head = reply(Reason::rule_denied, {.head_request = true});
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  EXPECT_EQ(head.find('{'), std::string::npos);
}

TEST(Reply, CanBeMadeForEveryReasonThatHasAStatus) {
  for (const ReasonInfo& reason : all_reasons()) {
    if (reason.status == 0) continue;
    const std::string reply = refusal({reason.reason, ""}, sample(), {});
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 " + std::to_string(reason.status) + " "));
    EXPECT_NE(reason_phrase(reason.status), "OK") << reason.name;
    EXPECT_EQ(reply.find("details"), std::string::npos);
  }
}

TEST(Reply, LeavesTheDetailOutWhenItIsMinimal) {
  const std::string reply = refusal({Reason::address_prohibited, "10.0.0.1 is private."}, sample(),
                                    {.detail = config::LogDetail::minimal});
  EXPECT_EQ(reply.find("10.0.0.1"), std::string::npos);
  EXPECT_EQ(reply.find("detail"), std::string::npos);
}

TEST(Record, IsOneJsonLine) {
  Record record = sample();
  record.address = policy::Endpoint{*policy::Address::parse("93.184.215.14"), 80};
  record.admitted = true;
  record.attempts = 1;
  record.webhook_id = "msg_1";
  record.delivery = "dlv_1";
  record.successful = true;
  record.status = 200;
  record.bytes_up = 5;
  record.bytes_down = 2;
  record.resolve = 1500us;
  record.wait = 12ms;
  record.total = 20ms;
  EXPECT_EQ(
      to_json(record),
      R"({"time":"2026-01-02T03:04:05.006000Z","request_id":"000000001234abcd",)"
      R"("listener":"127.0.0.1:4750","sender":"billing","rule":"partners","method":"POST",)"
      R"("destination":"http://hooks.acme.io/in","address":"93.184.215.14:80",)"
      R"("verdict":"allowed","reason":"","detail":"","attempts":1,"redirects":0,)"
      R"("webhook_id":"msg_1","delivery":"dlv_1","status":200,"success":true,"truncated":false,"request_bytes":5,)"
      R"("response_bytes":2,"receive_ms":0.000,"resolve_ms":1.500,"connect_ms":0.000,"tls_ms":0.000,)"
      R"("send_ms":0.000,"wait_ms":12.000,"backoff_ms":0.000,"relay_ms":0.000,"total_ms":20.000})");
}

TEST(Record, IsOneTextLine) {
  Record record = sample();
  record.sender = {};
  record.failure = Failure{Reason::rule_denied, "The rule \"partners\" denies."};
  record.status = 403;
  EXPECT_EQ(to_text(record),
            "time=2026-01-02T03:04:05.006000Z request_id=000000001234abcd listener=127.0.0.1:4750 "
            "rule=partners method=POST destination=http://hooks.acme.io/in verdict=denied "
            R"(reason=rule_denied detail="The rule \"partners\" denies." attempts=0 redirects=0 )"
            "status=403 success=false truncated=false request_bytes=0 response_bytes=0 "
            "receive_ms=0.000 resolve_ms=0.000 connect_ms=0.000 tls_ms=0.000 send_ms=0.000 "
            "wait_ms=0.000 backoff_ms=0.000 relay_ms=0.000 total_ms=0.000");
}

TEST(Record, StaysOneLineWhateverIsInIt) {
  for (const std::string_view evil : {"a\nb", "a\r\nverdict=allowed", "a\tb", "\x01", "\x1b[31m"}) {
    Record record = sample();
    record.destination = evil;
    record.failure = Failure{Reason::rule_denied, std::string(evil)};
    for (const std::string& line : {to_json(record), to_text(record)}) {
      for (const char c : line) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << line;
    }
    EXPECT_EQ(to_text(record).find(" verdict=allowed"), std::string::npos);
  }
}

TEST(Record, SaysWhatBecameOfTheRequest) {
  struct Case {
    bool admitted;
    bool reported;
    bool failed;
    std::string_view verdict;
    std::string_view reason;
  };
  const Case cases[] = {
      {true, false, false, "allowed", ""},
      {true, false, true, "allowed", "response_timeout"},
      {true, true, false, "reported", "rule_denied"},
      {true, true, true, "reported", "response_timeout"},
      {false, false, true, "denied", "response_timeout"},
      {false, true, true, "denied", "response_timeout"},
  };
  for (const Case& each : cases) {
    Record record = sample();
    record.admitted = each.admitted;
    if (each.reported) record.reported = Failure{Reason::rule_denied, ""};
    if (each.failed) record.failure = Failure{Reason::response_timeout, ""};
    const std::string line = to_json(record);
    EXPECT_NE(line.find("\"verdict\":\"" + std::string(each.verdict) + "\",\"reason\":\"" +
                        std::string(each.reason) + "\""),
              std::string::npos)
        << line;
  }
}

TEST(Record, IsCountedWhenItEnds) {
  Metrics metrics;
  std::vector<std::string> lines;
  const AccessLog log = [&](const std::string& line) { lines.push_back(line); };
  Record record = sample();
  record.status = 503;
  record.failure = Failure{Reason::draining, ""};
  record.bytes_up = 7;
  finish(record, record.began + 30ms, config::LogFormat::text, log, metrics);
  finish(record, record.began + 30ms, config::LogFormat::json, {}, metrics);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].starts_with("time="));
  EXPECT_NE(lines[0].find("total_ms=30.000"), std::string::npos);
  EXPECT_EQ(metrics.exchanges.at(Metrics::pack({.reason = Reason::draining, .code_class = 5})), 2U);
  EXPECT_EQ(metrics.request_bytes, 14U);
  EXPECT_EQ(metrics.total.counts()[3], 2U) << "0.025 to 0.05";
}

TEST(Labels, AreStableAndBounded) {
  Labels labels;
  const Labels::Id a = labels.intern("a");
  EXPECT_NE(labels.intern("b"), a);
  EXPECT_EQ(labels.intern("a"), a);
  EXPECT_EQ(labels.name(a), "a");
  for (int i = 0; i < 70'000; ++i) labels.intern("n" + std::to_string(i));
  EXPECT_EQ(labels.name(labels.intern("one more")), "other");
  EXPECT_EQ(labels.name(a), "a");
}

TEST(MetricsText, PacksEveryOutcomeWithoutLoss) {
  for (const ReasonInfo& reason : all_reasons()) {
    const Metrics::Outcome outcome{
        .listener = 65'535, .sender = 1, .rule = 40'000, .reason = reason.reason, .code_class = 5};
    const Metrics::Outcome back = Metrics::unpack(Metrics::pack(outcome));
    EXPECT_EQ(back.listener, outcome.listener);
    EXPECT_EQ(back.sender, outcome.sender);
    EXPECT_EQ(back.rule, outcome.rule);
    EXPECT_EQ(back.reason, outcome.reason);
    EXPECT_EQ(back.code_class, 5);
  }
  EXPECT_FALSE(Metrics::unpack(Metrics::pack(Metrics::Outcome())).reason);
}

// The lines of one family.
std::string family(const std::string& page, std::string_view name) {
  std::string found;
  for (size_t at = 0; at < page.size();) {
    const size_t end = page.find('\n', at) + 1;
    const std::string line = page.substr(at, end - at);
    if (line.starts_with("# HELP " + std::string(name) + " ") ||
        line.starts_with("# TYPE " + std::string(name) + " ") ||
        line.starts_with(std::string(name) + "{") || line.starts_with(std::string(name) + " ")) {
      found += line;
    }
    at = end;
  }
  return found;
}

TEST(MetricsText, IsWhatPrometheusReads) {
  Labels labels;
  Metrics metrics;
  const Labels::Id listener = labels.intern("unix:/a\"b\\c\nd");
  const Labels::Id nobody = labels.intern("");
  const Labels::Id rule = labels.intern("partners");
  metrics.count(
      {.listener = listener, .sender = nobody, .rule = rule, .reason = {}, .code_class = 2});
  metrics.count({.listener = listener,
                 .sender = nobody,
                 .rule = rule,
                 .reason = Reason::sender_disconnected});
  metrics.connections_open[listener] = 3;
  metrics.total.observe(5ms);
  metrics.total.observe(5ms + 1ns);
  metrics.total.observe(21s);
  const std::string page = to_prometheus(metrics, {.reloads_applied = 2, .workers = 4}, labels);

  EXPECT_EQ(family(page, "egret_exchanges_total"),
            "# HELP egret_exchanges_total Requests and tunnels that ended, by who sent them, which "
            "rule took them and how.\n"
            "# TYPE egret_exchanges_total counter\n"
            R"(egret_exchanges_total{listener="unix:/a\"b\\c\nd",sender="",rule="partners",)"
            R"(reason="sender_disconnected",code="none"} 1)"
            "\n"
            R"(egret_exchanges_total{listener="unix:/a\"b\\c\nd",sender="",rule="partners",)"
            R"(reason="none",code="2xx"} 1)"
            "\n");
  EXPECT_NE(family(page, "egret_sender_connections").find("} 3\n"), std::string::npos);
  EXPECT_NE(page.find("egret_phase_seconds_bucket{phase=\"total\",le=\"0.005\"} 1\n"
                      "egret_phase_seconds_bucket{phase=\"total\",le=\"0.01\"} 2\n"),
            std::string::npos);
  EXPECT_NE(page.find("egret_phase_seconds_bucket{phase=\"total\",le=\"20\"} 2\n"
                      "egret_phase_seconds_bucket{phase=\"total\",le=\"+Inf\"} 3\n"
                      "egret_phase_seconds_sum{phase=\"total\"} 21.01"),
            std::string::npos);
  EXPECT_NE(page.find("egret_phase_seconds_count{phase=\"total\"} 3\n"), std::string::npos);
  EXPECT_NE(page.find("egret_reloads_total{result=\"applied\"} 2\n"), std::string::npos);
  EXPECT_NE(page.find("egret_workers 4\n"), std::string::npos);
  EXPECT_TRUE(page.ends_with("\n"));
}

Metrics::Outcome of_listener(Labels::Id listener) {
  Metrics::Outcome outcome;
  outcome.listener = listener;
  return outcome;
}

TEST(MetricsText, AddsUpWhatWorkersCounted) {
  Metrics one;
  Metrics two;
  one.count(of_listener(1));
  two.count(of_listener(1));
  two.count(of_listener(2));
  one.connections_open[1] = 2;
  two.connections_open[1] = 3;
  one.request_bytes = 5;
  two.request_bytes = 6;
  one.exchanges_open = 1;
  two.exchanges_open = -1;  // a copy is made between any two events
  one.total.observe(1s);
  two.total.observe(1s);
  one.add(two);
  EXPECT_EQ(one.exchanges.at(Metrics::pack(of_listener(1))), 2U);
  EXPECT_EQ(one.exchanges.at(Metrics::pack(of_listener(2))), 1U);
  EXPECT_EQ(one.connections_open.at(1), 5);
  EXPECT_EQ(one.request_bytes, 11U);
  EXPECT_EQ(one.exchanges_open, 0);
  EXPECT_EQ(one.total.sum_seconds(), 2.0);
}

}  // namespace
}  // namespace egret::proxy
