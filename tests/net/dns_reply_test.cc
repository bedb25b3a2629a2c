#include "proxy/net/dns_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace egret::net {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::HasSubstr;

std::string u16(unsigned value) {
  return {static_cast<char>(value >> 8 & 0xff), static_cast<char>(value & 0xff)};
}
std::string wire(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    out += static_cast<char>(label.size());
    out += label;
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  return out + '\0';
}
std::string record(const std::string& owner, unsigned type, const std::string& data,
                   unsigned ttl = 60, unsigned record_class = 1) {
  return owner + u16(type) + u16(record_class) + u16(ttl >> 16) + u16(ttl & 0xffff) +
         u16(static_cast<unsigned>(data.size())) + data;
}
std::string a_record(std::string_view owner, const std::string& data = "\x08\x08\x08\x08",
                     unsigned ttl = 60) {
  return record(wire(owner), 1, data, ttl);
}
std::string cname(std::string_view owner, std::string_view target, unsigned ttl = 60) {
  return record(wire(owner), 5, wire(target), ttl);
}
std::string question(std::string_view name, unsigned type = 1, unsigned question_class = 1) {
  return wire(name) + u16(type) + u16(question_class);
}
std::string header(unsigned flags, unsigned questions, size_t answers) {
  return u16(7) + u16(flags) + u16(questions) + u16(static_cast<unsigned>(answers)) + u16(0) +
         u16(0);
}
std::string reply(std::initializer_list<std::string> records) {
  std::string out = header(0x8180, 1, records.size()) + question("hook.test");
  for (const std::string& each : records) out += each;
  return out;
}

Result<Answer> parse(const std::string& bytes, RecordType type = RecordType::a) {
  return parse_reply("hook.test", type,
                     {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}
std::vector<std::string> texts(const Result<Answer>& answer) {
  if (!answer) return {std::string(name(answer.error().reason)) + ": " + answer.error().detail};
  std::vector<std::string> out;
  for (const policy::Address& address : answer->addresses) out.push_back(address.to_string());
  return out;
}

struct Refused {
  const char* what;
  std::string bytes;
  Reason reason;
  const char* detail;
};

void expect_refused(std::span<const Refused> rows) {
  for (const Refused& row : rows) {
    SCOPED_TRACE(row.what);
    const Result<Answer> answer = parse(row.bytes);
    ASSERT_FALSE(answer) << testing::PrintToString(texts(answer));
    EXPECT_EQ(answer.error().reason, row.reason) << name(answer.error().reason);
    EXPECT_THAT(answer.error().detail, HasSubstr(row.detail));
  }
}

TEST(ParseReply, RefusesAnotherQuestionsReply) {
  const Refused rows[] = {
      {"nothing", "", Reason::dns_error, "shorter"},
      {"half a header", "\0\7\x81\x80\0\1"s, Reason::dns_error, "shorter"},
      {"a query", header(0x0100, 1, 0) + question("hook.test"), Reason::dns_error, "not a reply"},
      {"opcode NOTIFY", header(0xa180, 1, 0) + question("hook.test"), Reason::dns_error, "not a"},
      {"no question", header(0x8180, 0, 0), Reason::dns_error, "another question"},
      {"two questions", header(0x8180, 2, 0) + question("hook.test") + question("hook.test"),
       Reason::dns_error, "another question"},
      {"another name", header(0x8180, 1, 1) + question("evil.test") + a_record("hook.test"),
       Reason::dns_error, "another question"},
      {"a longer name", header(0x8180, 1, 0) + question("hook.test.test"), Reason::dns_error,
       "another question"},
      {"one label with a dot in it", header(0x8180, 1, 0) + "\x09hook.test\0\0\1\0\1"s,
       Reason::dns_error, "another question"},
      {"another type", header(0x8180, 1, 0) + question("hook.test", 28), Reason::dns_error,
       "another question"},
      {"another class", header(0x8180, 1, 0) + question("hook.test", 1, 3), Reason::dns_error,
       "another question"},
      {"another question and NXDOMAIN", header(0x8183, 1, 0) + question("evil.test"),
       Reason::dns_error, "another question"},
      {"NXDOMAIN", header(0x8183, 1, 0) + question("hook.test"), Reason::name_not_found,
       "NXDOMAIN"},
      {"NODATA", reply({}), Reason::name_has_no_address, "no such record"},
  };
  expect_refused(rows);
}

TEST(ParseReply, RefusesResponseCodesAndCutReplies) {
  const Refused rows[] = {
      {"FORMERR", header(0x8181, 1, 0) + question("hook.test"), Reason::dns_error, "FORMERR"},
      {"SERVFAIL", header(0x8182, 1, 0) + question("hook.test"), Reason::dns_error, "SERVFAIL"},
      {"NOTIMP", header(0x8184, 1, 0) + question("hook.test"), Reason::dns_error, "NOTIMP"},
      {"REFUSED", header(0x8185, 1, 0) + question("hook.test"), Reason::dns_error, "REFUSED"},
      {"YXDOMAIN", header(0x8186, 1, 0) + question("hook.test"), Reason::dns_error, "code 6"},
      {"TC", header(0x8380, 1, 1) + question("hook.test") + a_record("hook.test"),
       Reason::dns_error, "truncated"},
      {"fewer records than said",
       header(0x8180, 1, 2) + question("hook.test") + a_record("hook.test"), Reason::dns_error,
       "malformed record"},
      {"rdata beyond the end", reply({a_record("hook.test").substr(0, 24)}), Reason::dns_error,
       "malformed record"},
  };
  expect_refused(rows);
}

TEST(ParseReply, RefusesMalformedRecordsAndDishonestChains) {
  const std::string pointer_to_self = "\xc0\x1b"s;  // header 12 + question 15 = 27
  const std::string forwards = "\xc0\x40"s;
  const Refused rows[] = {
      {"A with 16 octets", reply({a_record("hook.test", std::string(16, '\1'))}), Reason::dns_error,
       "wrong length"},
      {"A with none", reply({a_record("hook.test", "")}), Reason::dns_error, "wrong length"},
      {"a good A before a bad one", reply({a_record("hook.test"), a_record("hook.test", "abc")}),
       Reason::dns_error, "wrong length"},
      {"owner that points to itself", reply({record(pointer_to_self, 1, "abcd")}),
       Reason::dns_error, "malformed record"},
      {"owner that points forwards", reply({record(forwards, 1, "abcd")}), Reason::dns_error,
       "malformed record"},
      {"label type 0x40", reply({record("\x41\x41\0"s, 1, "abcd")}), Reason::dns_error,
       "malformed record"},
      {"CNAME that points to itself", reply({record(wire("hook.test"), 5, "\xc0\x30"s)}),
       Reason::dns_error, "malformed CNAME"},
      {"CNAME with bytes after the name",
       reply({record(wire("hook.test"), 5, wire("b.test") + "x")}), Reason::dns_error,
       "malformed CNAME"},
      {"CNAME longer than its rdata", reply({record(wire("hook.test"), 5, "\6b"s) + "testxx\0"s}),
       Reason::dns_error, "malformed CNAME"},
      {"CNAME to itself", reply({cname("hook.test", "hook.test")}), Reason::dns_error,
       "CNAME loop"},
      {"CNAME loop of two", reply({cname("hook.test", "b.test"), cname("b.test", "hook.test")}),
       Reason::dns_error, "CNAME loop"},
      {"two CNAMEs", reply({cname("hook.test", "b.test"), cname("hook.test", "c.test")}),
       Reason::dns_error, "two CNAMEs"},
      {"CNAME beside an address",
       reply({cname("hook.test", "b.test"), a_record("hook.test"), a_record("b.test")}),
       Reason::dns_error, "beside"},
      {"only another owner's address", reply({a_record("other.test")}), Reason::dns_error,
       "other names"},
      {"CNAME, and an address that is not its target's",
       reply({cname("hook.test", "b.test"), a_record("c.test")}), Reason::dns_error, "other names"},
      {"CNAME and nothing at its end", reply({cname("hook.test", "b.test")}),
       Reason::name_has_no_address, "no such record"},
      {"class CHAOS", reply({record(wire("hook.test"), 1, "abcd", 60, 3)}),
       Reason::name_has_no_address, "no such record"},
  };
  expect_refused(rows);
}

TEST(ParseReply, EveryCutOfAGoodReplyIsRefused) {
  const std::string whole =
      reply({cname("hook.test", "b.test"), a_record("b.test"), a_record("b.test", "\1\1\1\1")});
  ASSERT_TRUE(parse(whole));
  for (size_t length = 0; length < whole.size(); ++length) {
    const Result<Answer> cut = parse(whole.substr(0, length));
    ASSERT_FALSE(cut) << length;
    EXPECT_EQ(cut.error().reason, Reason::dns_error) << length;
  }
}

TEST(ParseReply, TakesWhatStandsAtTheEndOfTheChain) {
  const Result<Answer> answer = parse(
      reply({a_record("c.test", "\7\7\7\7", 30), cname("b.test", "C.test", 20),
             cname("hook.test", "b.TEST", 90), cname("hook.test", "b.test", 80),
             a_record("stray.test", "\6\6\6\6", 1), record(wire("c.test"), 46, "signature", 2),
             a_record("c.test", "\5\5\5\5", 40)}));
  EXPECT_THAT(texts(answer), ElementsAre("7.7.7.7", "5.5.5.5"));
  EXPECT_EQ(answer->ttl, std::chrono::seconds(20));
}

TEST(ParseReply, CompressedNamesAndAnyCaseAreTheSame) {
  const std::string bytes =
      header(0x8180, 1, 1) + question("hOOk.tEst") + record("\xc0\x0c", 1, "\1\2\3\4");
  EXPECT_THAT(texts(parse(bytes)), ElementsAre("1.2.3.4"));
}

TEST(ParseReply, Ipv6IsSixteenOctets) {
  const std::string head = header(0x8180, 1, 1) + question("hook.test", 28);
  const std::string address = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\1";
  EXPECT_THAT(texts(parse(head + record("\xc0\x0c", 28, address), RecordType::aaaa)),
              ElementsAre("2001:db8::1"));
  EXPECT_EQ(parse(head + record("\xc0\x0c", 28, "\1\2\3\4"), RecordType::aaaa).error().reason,
            Reason::dns_error);
  // An A record in an answer to AAAA is of no interest.
  EXPECT_EQ(parse(head + record("\xc0\x0c", 1, "\1\2\3\4"), RecordType::aaaa).error().reason,
            Reason::name_has_no_address);
}

TEST(ParseReply, TtlsAreSecondsAndTheTopBitIsNone) {
  EXPECT_EQ(parse(reply({a_record("hook.test", "abcd", 0x7fffffff)}))->ttl,
            std::chrono::seconds(0x7fffffff));
  EXPECT_EQ(parse(reply({a_record("hook.test", "abcd", 0x80000001)}))->ttl, Duration::zero());
  EXPECT_EQ(parse(reply({a_record("hook.test", "abcd", 0)}))->ttl, Duration::zero());
}

std::string many(size_t count) {
  std::string out = header(0x8180, 1, count) + question("hook.test");
  for (size_t i = 0; i < count; ++i) {
    out += record("\xc0\x0c", 1, "\x08\x08"s + u16(static_cast<unsigned>(i)));
  }
  return out;
}

TEST(ParseReply, BoundsTheAddressesAndTheChain) {
  EXPECT_EQ(parse(many(kMaxAddressesPerType))->addresses.size(), kMaxAddressesPerType);
  EXPECT_THAT(parse(many(kMaxAddressesPerType + 1)).error().detail, HasSubstr("more than 256"));

  const auto chain = [](size_t links) {
    std::string out = header(0x8180, 1, links + 1) + question("hook.test");
    std::string owner = "hook.test";
    for (size_t i = 0; i < links; ++i) {
      const std::string target = "n" + std::to_string(i) + ".test";
      out += cname(owner, target);
      owner = target;
    }
    return out + a_record(owner);
  };
  EXPECT_TRUE(parse(chain(kMaxAliases)));
  EXPECT_EQ(parse(chain(kMaxAliases + 1)).error().reason, Reason::dns_error);
}

TEST(DnsName, OnlyWhatHasOneMeaning) {
  for (const char* good : {"a.b", "hook.test", "_dmarc.example.com", "xn--bcher-kva.example",
                           "1.example", "intranet", "localhost.example", "a-b.c1"}) {
    EXPECT_TRUE(is_dns_name(good)) << good;
  }
  const std::string label(63, 'a');
  EXPECT_TRUE(is_dns_name(label + ".b"));
  EXPECT_FALSE(is_dns_name(label + "a.b"));
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  EXPECT_TRUE(is_dns_name(longest));
  EXPECT_FALSE(is_dns_name(longest + "b"));
  for (const std::string& bad : {""s, "."s, "a."s, ".a"s, "a..b"s, "010.0.0.1"s, "127.1"s, "1"s,
                                 "a.0x7f"s, "a.1"s, "::1"s, "a b"s, "a\\.b"s, "a%2eb"s, "a\0b"s,
                                 "localhost"s, "foo.LocalHost"s, "b\xc3\xbc.test"s, "a/b"s}) {
    EXPECT_FALSE(is_dns_name(bad)) << bad;
  }
}

Result<Answer> half(const char* address, int ttl) {
  return Answer{{policy::Address::parse(address).value()}, std::chrono::seconds(ttl)};
}
Result<Answer> failed(Reason reason) { return Unexpected(reason, "x"); }

TEST(Merge, FailsClosed) {
  const Reason absences[] = {Reason::name_not_found, Reason::name_has_no_address};
  const Reason failures[] = {Reason::dns_error, Reason::dns_timeout};
  for (const Reason failure : failures) {
    EXPECT_EQ(merge(half("1.1.1.1", 9), failed(failure)).error().reason, failure);
    EXPECT_EQ(merge(failed(failure), half("::1", 9)).error().reason, failure);
    for (const Reason absence : absences) {
      EXPECT_EQ(merge(failed(absence), failed(failure)).error().reason, failure);
      EXPECT_EQ(merge(failed(failure), failed(absence)).error().reason, failure);
    }
  }
}

TEST(Merge, IsTheUnionWithTheSmallerTtl) {
  const Result<Answer> both = merge(half("1.1.1.1", 9), half("::1", 7));
  EXPECT_THAT(texts(both), ElementsAre("1.1.1.1", "::1"));
  EXPECT_EQ(both->ttl, std::chrono::seconds(7));
  EXPECT_THAT(texts(merge(failed(Reason::name_not_found), half("::1", 7))), ElementsAre("::1"));
  EXPECT_THAT(texts(merge(half("1.1.1.1", 7), failed(Reason::name_has_no_address))),
              ElementsAre("1.1.1.1"));
}

TEST(Merge, ANameExistsWhenEitherTypeSaysSo) {
  const auto none = failed(Reason::name_not_found);
  const auto empty = failed(Reason::name_has_no_address);
  EXPECT_EQ(merge(none, none).error().reason, Reason::name_not_found);
  EXPECT_EQ(merge(none, empty).error().reason, Reason::name_has_no_address);
  EXPECT_EQ(merge(empty, none).error().reason, Reason::name_has_no_address);
  EXPECT_EQ(merge(empty, empty).error().reason, Reason::name_has_no_address);
}

}  // namespace
}  // namespace egret::net
