// Whose connection a load balancer passes on, by the PROXY protocol's two versions.

#include "proxy/net/proxy_protocol.h"

#include <string>

#include "tests/net/stream_fixture.h"

namespace egret::net {
namespace {

using namespace std::chrono_literals;

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}

// A header of version 2.
std::string block(int version_command, int family, std::string_view rest) {
  const int size = static_cast<int>(rest.size());
  return kSignature + bytes({version_command, family, size >> 8, size & 0xff}) + std::string(rest);
}

const std::string kV4 = bytes({192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb});
const std::string kV6 = bytes({0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}) +
                        bytes({0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}) +
                        bytes({0xdc, 0x04, 0x01, 0xbb});
const std::string kMapped = bytes({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}) +
                            std::string(16, '\0') + bytes({0xdc, 0x04, 0x01, 0xbb});
const std::string kTlv = bytes({4, 0, 3, 'x', 'y', 'z'});

std::string told(const Result<std::optional<policy::Endpoint>>& source) {
  if (!source) {
    EXPECT_EQ(source.error().reason, Reason::proxy_protocol_invalid);
    return "invalid: " + source.error().detail;
  }
  return *source ? (*source)->to_string() : "its own";
}

struct Case {
  std::string_view name;
  std::string header;
  std::string_view expected;
};

struct ProxyProtocolTest : StreamTest {
  // Each header is read with bytes behind it, at once and in pieces of one byte.
  void expect(const Case& each) {
    SCOPED_TRACE(each.name);
    const bool valid = !each.expected.starts_with("invalid");
    for (const size_t most : {SIZE_MAX, size_t{1}}) {
      SCOPED_TRACE(most);
      made = test::make_scripted_connection();
      loop.run_until_idle();
      made.stream->faults().most_per_read = most;
      made.peer.feed(each.header + "GET / HTTP/1.1");
      const auto source = loop.run(read_proxy_header(*made.stream, loop.in(5s)));
      EXPECT_EQ(told(source), each.expected);
      if (valid) {
        EXPECT_EQ(made.peer.unread(), 14U) << "not a byte beyond the header";
      }
    }
    if (valid) {
      EXPECT_EQ(told(parse_proxy_header(each.header)), each.expected);
    }
  }
};

TEST_F(ProxyProtocolTest, RefusesALineThatIsNotOne) {
  const std::string_view kMalformed = "invalid: the PROXY line's addresses or ports are malformed";
  const std::string_view kOther = "invalid: it does not begin with a PROXY header";
  const std::string_view kProtocol = "invalid: the PROXY line is for no protocol of ours";
  const std::string start = "PROXY TCP4 192.0.2.1 198.51.100.1 ";
  const Case cases[] = {
      {"HTTP", "GET http://a.test/ HTTP/1.1\r\n", kOther},
      {"TLS", "\x16\x03\x01\x02", kOther},
      {"lower case", "proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n", kOther},
      {"a tab", "PROXY\tTCP4 192.0.2.1 198.51.100.1 1 2\r\n", kOther},
      {"TCP5", "PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n", kProtocol},
      {"two spaces", "PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n", kProtocol},
      {"no addresses", "PROXY TCP4\r\n", kMalformed},
      {"one address", "PROXY TCP4 192.0.2.1\r\n", kMalformed},
      {"no ports", "PROXY TCP4 192.0.2.1 198.51.100.1\r\n", kMalformed},
      {"one port", start + "1\r\n", kMalformed},
      {"three ports", start + "1 2 3\r\n", kMalformed},
      {"a space at its end", start + "1 2 \r\n", kMalformed},
      {"a port over 65535", start + "65536 2\r\n", kMalformed},
      {"a far port over 65535", start + "1 65536\r\n", kMalformed},
      {"a leading zero", start + "01 2\r\n", kMalformed},
      {"a sign", start + "+1 2\r\n", kMalformed},
      {"an octal address", "PROXY TCP4 192.000.2.1 198.51.100.1 1 2\r\n", kMalformed},
      {"a name", "PROXY TCP4 localhost 198.51.100.1 1 2\r\n", kMalformed},
      {"IPv6 for TCP4", "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", kMalformed},
      {"IPv4 for TCP6", "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n", kMalformed},
      {"two families", "PROXY TCP6 2001:db8::1 198.51.100.1 1 2\r\n", kMalformed},
      {"brackets", "PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n", kMalformed},
      {"a zone", "PROXY TCP6 fe80::1%lo 2001:db8::2 1 2\r\n", kMalformed},
      {"CR within", "PROXY TCP4 192.0.2.1\r198.51.100.1 1 2\r\n", kMalformed},
      {"LF alone", start + "1 2\n", "invalid: the PROXY line ends without CR"},
      {"108 bytes", "PROXY UNKNOWN " + std::string(92, 'x') + "\r\n",
       "invalid: the PROXY line is over 107 bytes"},
  };
  for (const Case& each : cases) expect(each);
}

TEST_F(ProxyProtocolTest, RefusesABlockThatIsNotForTcpOverIp) {
  const std::string_view kNotTcp = "invalid: the PROXY header is not for TCP over IP";
  const std::string_view kShort = "invalid: the PROXY header's addresses are cut short";
  const Case cases[] = {
      {"version 1", block(0x11, 0x11, kV4), "invalid: the PROXY header is of an unknown version"},
      {"version 3", block(0x31, 0x11, kV4), "invalid: the PROXY header is of an unknown version"},
      {"an unknown command", block(0x22, 0x11, kV4),
       "invalid: the PROXY header has an unknown command"},
      {"UNSPEC", block(0x21, 0x00, ""), kNotTcp},
      {"UDP over IPv4", block(0x21, 0x12, kV4), kNotTcp},
      {"UDP over IPv6", block(0x21, 0x22, kV6), kNotTcp},
      {"a Unix socket", block(0x21, 0x31, std::string(216, 'u')), kNotTcp},
      {"an unknown family", block(0x21, 0x41, kV4), kNotTcp},
      {"an unknown protocol", block(0x21, 0x13, kV4), kNotTcp},
      {"no IPv4 addresses", block(0x21, 0x11, ""), kShort},
      {"half an IPv4 port", block(0x21, 0x11, kV4.substr(0, 11)), kShort},
      {"IPv4 addresses for IPv6", block(0x21, 0x21, kV4), kShort},
      {"half an IPv6 port", block(0x21, 0x21, kV6.substr(0, 35)), kShort},
      {"2049 bytes", block(0x20, 0x00, std::string(2049, 't')),
       "invalid: the PROXY header is over 2048 bytes"},
      {"half a signature", kSignature.substr(0, 8),
       "invalid: it does not begin with a PROXY header"},
  };
  for (const Case& each : cases) expect(each);
}

TEST_F(ProxyProtocolTest, TellsTheSource) {
  const Case cases[] = {
      {"TCP4", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", "192.0.2.1:56324"},
      {"port 0", "PROXY TCP4 192.0.2.1 198.51.100.1 0 65535\r\n", "192.0.2.1:0"},
      {"TCP6", "PROXY TCP6 2001:DB8::1 2001:db8::2 56324 443\r\n", "[2001:db8::1]:56324"},
      {"TCP6, mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::1 56324 443\r\n", "192.0.2.1:56324"},
      {"TCP6, mapped in hex", "PROXY TCP6 ::ffff:c000:201 ::1 56324 443\r\n", "192.0.2.1:56324"},
      {"INET", block(0x21, 0x11, kV4), "192.0.2.1:56324"},
      {"INET6", block(0x21, 0x21, kV6), "[2001:db8::1]:56324"},
      {"INET6, mapped", block(0x21, 0x21, kMapped), "192.0.2.1:56324"},
      {"TLVs", block(0x21, 0x11, kV4 + kTlv), "192.0.2.1:56324"},
      {"2048 bytes", block(0x21, 0x21, kV6 + std::string(2048 - 36, 't')), "[2001:db8::1]:56324"},
  };
  for (const Case& each : cases) expect(each);
}

TEST_F(ProxyProtocolTest, LeavesThePeersOwnAddress) {
  const Case cases[] = {
      {"UNKNOWN", "PROXY UNKNOWN\r\n", "its own"},
      {"UNKNOWN and anything", "PROXY UNKNOWN ffff:: what ever\r\n", "its own"},
      {"107 bytes", "PROXY UNKNOWN " + std::string(91, 'x') + "\r\n", "its own"},
      {"LOCAL", block(0x20, 0x00, ""), "its own"},
      {"LOCAL with addresses", block(0x20, 0x11, kV4), "its own"},
      {"LOCAL with TLVs", block(0x20, 0x00, kTlv), "its own"},
      {"LOCAL of a Unix socket", block(0x20, 0x31, std::string(216, 'u')), "its own"},
      {"LOCAL of an unknown family", block(0x20, 0xff, ""), "its own"},
  };
  for (const Case& each : cases) expect(each);
}

TEST_F(ProxyProtocolTest, RefusesAHeaderThatDoesNotEnd) {
  const std::string line = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";
  for (const std::string& header : {line, block(0x21, 0x11, kV4 + kTlv)}) {
    for (size_t size = 0; size < header.size(); ++size) {
      SCOPED_TRACE(size);
      EXPECT_FALSE(parse_proxy_header(header.substr(0, size)));
      made = test::make_scripted_connection();
      loop.run_until_idle();
      made.peer.feed(header.substr(0, size));
      made.peer.finish();
      const auto source = loop.run(read_proxy_header(*made.stream, loop.in(5s)));
      ASSERT_FALSE(source);
      EXPECT_EQ(source.error().reason,
                size == 0 ? Reason::sender_disconnected : Reason::proxy_protocol_invalid);
      EXPECT_EQ(source.error().detail,
                size == 0 ? "closed before a PROXY header" : "closed before a whole PROXY header");
    }
  }
}

TEST_F(ProxyProtocolTest, ParsesOneHeaderAndNothingBehindIt) {
  const std::string line = "PROXY UNKNOWN\r\n";
  EXPECT_EQ(told(parse_proxy_header(line + line)),
            "invalid: something stands behind the PROXY line");
  EXPECT_EQ(told(parse_proxy_header("PROXY UNKNOWN " + std::string(100, 'x') + "\r\n")),
            "invalid: the PROXY line is over 107 bytes");
  EXPECT_EQ(told(parse_proxy_header(block(0x20, 0x00, "") + "x")),
            "invalid: something stands behind the PROXY header");
}

TEST_F(ProxyProtocolTest, WaitsNoLongerThanItsDeadline) {
  auto task = read_proxy_header(stream, loop.in(5s));
  task.start();
  loop.advance(4s);
  peer.feed("PROXY TCP4 192.0");
  loop.advance(999ms);
  EXPECT_FALSE(ends(task));
  loop.advance(1ms);
  ASSERT_TRUE(ends(task));
  EXPECT_EQ(told(task.result()), "invalid: no whole PROXY header came in time");
}

TEST_F(ProxyProtocolTest, RefusesAPeerThatResets) {
  peer.feed("PROXY ");
  peer.reset();
  EXPECT_TRUE(told(now(read_proxy_header(stream, loop.in(5s)))).starts_with("invalid: before a "));
}

}  // namespace
}  // namespace egret::net
