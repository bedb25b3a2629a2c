// The first message of TLS, as a client sends it or somebody who pretends to.

#include "proxy/tls/client_hello.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <span>

#include "tests/support/client_hello.h"

namespace egret::tls {
namespace {

using test::big_endian;
using test::client_hello;
using test::client_hello_message;
using test::sni_extension;
using test::tls_extension;
using test::tls_records;
using test::tls_vector;
using Outcome = ClientHelloReader::Outcome;

constexpr size_t kEch = 0xfe0d;
constexpr size_t kPadding = 21;

const std::string kNul(1, '\0');

// What the bytes are, in words: "incomplete", "not_tls: …", "no name", "a.test", "ech a.test".
std::string told(const ClientHelloReader& reader, Outcome outcome) {
  if (outcome == Outcome::incomplete) return "incomplete";
  if (outcome == Outcome::not_tls) return "not_tls: " + std::string(reader.fault());
  return (reader.hello().encrypted ? "ech " : "") + reader.hello().server_name.value_or("no name");
}

std::string read(std::string_view bytes) {
  ClientHelloReader reader;
  const Outcome outcome = reader.look(bytes);
  return told(reader, outcome);
}

std::string read_by_bytes(std::string_view bytes) {
  ClientHelloReader reader;
  Outcome outcome = reader.look({});
  for (size_t size = 1; size <= bytes.size(); ++size) outcome = reader.look(bytes.substr(0, size));
  return told(reader, outcome);
}

std::string hello_of(std::string_view extensions) {
  return tls_records(client_hello_message(std::string(extensions)));
}

std::string sni(std::string_view list) { return hello_of(tls_extension(0, list)); }

std::string name_entry(std::string_view name) { return kNul + tls_vector(name, 2); }

// A hello's body with one field replaced.
std::string body(std::string_view version, std::string_view session_id, std::string_view suites,
                 std::string_view compressions, std::string_view rest = {}) {
  std::string out(version);
  out.append(32, 'r').append(tls_vector(session_id, 1)).append(tls_vector(suites, 2));
  out.append(tls_vector(compressions, 1)).append(rest);
  return tls_records("\x01" + tls_vector(out, 3));
}

struct Case {
  std::string_view name;
  std::string bytes;
  std::string_view expected;
};

void expect_all(std::span<const Case> cases) {
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    EXPECT_EQ(read(each.bytes), each.expected);
    EXPECT_EQ(read_by_bytes(each.bytes), each.expected) << "in pieces of one byte";
  }
}

TEST(ClientHello, IsNotWhatOnlyLooksLikeOne) {
  const std::string good = client_hello("a.test");
  const std::string message = client_hello_message(sni_extension("a.test"));
  const Case cases[] = {
      {"HTTP", "GET / HTTP/1.1\r\n\r\n", "not_tls: it begins with no handshake record"},
      {"one byte of it", "G", "not_tls: it begins with no handshake record"},
      {"SSH", "SSH-2.0-OpenSSH_9.2\r\n", "not_tls: it begins with no handshake record"},
      {"SSL 2", "\x80\x2e\x01\x03\x01" + std::string(43, 'x'),
       "not_tls: it begins with no handshake record"},
      {"an alert", "\x15\x03\x01" + big_endian(2, 2) + "\x02\x28",
       "not_tls: it begins with no handshake record"},
      {"another version", "\x16\x02", "not_tls: it begins with no handshake record"},
      {"DTLS", "\x16\xfe\xfd", "not_tls: it begins with no handshake record"},
      {"a ServerHello", tls_records("\x02" + tls_vector("x", 3)),
       "not_tls: it begins with another message"},
      {"an empty record", "\x16\x03\x01" + big_endian(0, 2) + good,
       "not_tls: a length in it is wrong"},
      {"a record over 2^14", "\x16\x03\x01" + big_endian((1 << 14) + 1, 2) + message,
       "not_tls: a length in it is wrong"},
      {"an alert between its records",
       tls_records(message.substr(0, 20)) + "\x15\x03\x03" + big_endian(2, 2) + "\x02\x28" +
           tls_records(message.substr(20)),
       "not_tls: it begins with no handshake record"},
      {"another message in its record", tls_records(message + "\x01"),
       "not_tls: another message stands behind it in its record"},
      {"the version of SSL 2", body("\x02\x03", "", "\x13\x01", kNul),
       "not_tls: its version is none of TLS"},
  };
  expect_all(cases);
}

TEST(ClientHello, HasLengthsThatFit) {
  constexpr std::string_view kWrong = "not_tls: a length in it is wrong";
  const std::string suite = "\x13\x01";
  const Case cases[] = {
      {"an empty message", tls_records("\x01" + big_endian(0, 3)), kWrong},
      {"half a random", tls_records("\x01" + tls_vector("\x03\x03rrrr", 3)), kWrong},
      {"a session id of 33 bytes", body("\x03\x03", std::string(33, 's'), suite, kNul), kWrong},
      {"no cipher suite", body("\x03\x03", "", "", kNul), kWrong},
      {"half a cipher suite", body("\x03\x03", "", "\x13\x01\x13", kNul), kWrong},
      {"no compression method", body("\x03\x03", "", suite, ""), kWrong},
      {"half a length of extensions", body("\x03\x03", "", suite, kNul, kNul), kWrong},
      {"a byte behind the extensions", body("\x03\x03", "", suite, kNul, tls_vector("", 2) + "x"),
       kWrong},
      {"extensions cut short", body("\x03\x03", "", suite, kNul, big_endian(9, 2) + "x"), kWrong},
      {"half an extension's type", hello_of("x"), kWrong},
      {"an extension cut short", hello_of(big_endian(kPadding, 2) + big_endian(9, 2) + "x"),
       kWrong},
      {"a session id of 32 bytes", body("\x03\x03", std::string(32, 's'), suite, kNul), "no name"},
      {"no extensions at all", body("\x03\x01", "", suite, kNul), "no name"},
      {"an empty list of them", hello_of(""), "no name"},
  };
  expect_all(cases);
}

TEST(ClientHello, HasOneNameThatAllReadersReadAlike) {
  constexpr std::string_view kBad = "not_tls: its server name is malformed";
  constexpr std::string_view kTwice = "not_tls: an extension is there twice";
  const std::string one = sni_extension("a.test");
  const Case cases[] = {
      {"an empty extension, a server's", sni(""), kBad},
      {"an empty list", sni(tls_vector("", 2)), kBad},
      {"a list cut short", sni(big_endian(20, 2) + name_entry("a.test")), kBad},
      {"a byte behind the list", sni(tls_vector(name_entry("a.test"), 2) + "x"), kBad},
      {"a name cut short", sni(tls_vector(kNul + big_endian(9, 2) + "a.test", 2)), kBad},
      {"another type of name", sni(tls_vector("\x01" + tls_vector("a.test", 2), 2)), kBad},
      {"two names", sni(tls_vector(name_entry("a.test") + name_entry("b.test"), 2)), kBad},
      {"the same twice", sni(tls_vector(name_entry("a.test") + name_entry("a.test"), 2)), kBad},
      {"an empty name", client_hello(""), kBad},
      {"a dot alone", client_hello("."), kBad},
      {"NUL", client_hello(std::string_view("a.test\0.evil.test", 17)), kBad},
      {"a control byte", client_hello("a.test\n"), kBad},
      {"a space", client_hello("a test"), kBad},
      {"DEL", client_hello("a.test\x7f"), kBad},
      {"UTF-8", client_hello("b\xc3\xbc\x63her.test"), kBad},
      {"two extensions", hello_of(one + one), kTwice},
      {"two extensions apart", hello_of(one + tls_extension(kPadding, "") + one), kTwice},
      {"two of ECH", hello_of(tls_extension(kEch, "x") + tls_extension(kEch, "x")), kTwice},
  };
  expect_all(cases);
}

TEST(ClientHello, TellsTheNameInOneSpelling) {
  const std::string message = client_hello_message(sni_extension("a.test"));
  const Case cases[] = {
      {"a name", client_hello("a.test"), "a.test"},
      {"upper case", client_hello("A.Test"), "a.test"},
      {"a dot at its end", client_hello("a.test."), "a.test"},
      {"two dots at its end", client_hello("a.test.."), "a.test."},
      {"none", client_hello(std::nullopt), "no name"},
      {"behind other extensions", client_hello("a.test", tls_extension(kPadding, "xyz")), "a.test"},
      {"beside ECH", client_hello("outer.test", tls_extension(kEch, "grease")), "ech outer.test"},
      {"ECH alone", client_hello(std::nullopt, tls_extension(kEch, "")), "ech no name"},
      {"in records of one byte", tls_records(message, 1), "a.test"},
      {"in records of three", tls_records(message, 3), "a.test"},
      {"early data behind it", client_hello("a.test") + "\x17\x03\x03 and whatever", "a.test"},
  };
  expect_all(cases);
}

TEST(ClientHello, WaitsForTheRestOfIt) {
  const std::string message = client_hello_message(sni_extension("a.test"));
  for (const std::string& bytes : {tls_records(message), tls_records(message, 7)}) {
    for (size_t size = 0; size < bytes.size(); ++size) {
      ASSERT_EQ(read(std::string_view(bytes).substr(0, size)), "incomplete") << size;
    }
  }
}

// A hello that fills `size` bytes with its records.
std::string hello_of_size(size_t size, size_t records) {
  const size_t without = tls_records(client_hello_message(tls_extension(kPadding, ""))).size();
  const size_t padding = size - without - 5 * (records - 1);
  return hello_of(tls_extension(kPadding, std::string(padding, '\0')));
}

TEST(ClientHello, IsNoLongerThan64KiB) {
  EXPECT_EQ(hello_of_size(kMostClientHello, 4).size(), kMostClientHello);
  EXPECT_EQ(read(hello_of_size(kMostClientHello, 4)), "no name");
  const std::string longer = hello_of_size(kMostClientHello + 1, 4);
  EXPECT_EQ(read(longer), "not_tls: it is longer than 64 KiB");
  const std::string much_longer = hello_of_size(kMostClientHello + 20, 4);
  EXPECT_EQ(read(much_longer.substr(0, 9)), "not_tls: it is longer than 64 KiB") << "it says so";
  // Its records make it so long.
  const std::string message =
      client_hello_message(tls_extension(kPadding, std::string(20000, 'x')));
  EXPECT_EQ(read_by_bytes(tls_records(message, 1)), "not_tls: it is longer than 64 KiB");
}

std::string captured(std::string_view name) {
  const std::string path = std::string(EGRET_TEST_DATA "/fuzz/client_hello/").append(name);
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ClientHello, IsReadAsOpenSslSendsIt) {
  EXPECT_EQ(read(captured("openssl_tls13")), "hooks.acme.io");
  EXPECT_EQ(read(captured("openssl_tls12")), "hooks.acme.io");
  EXPECT_EQ(read(captured("openssl_no_sni")), "no name");
  EXPECT_EQ(read(captured("openssl_two_records")), "hooks.acme.io");
  EXPECT_EQ(read(captured("ech_grease")), "ech hooks.acme.io");
  EXPECT_EQ(read(captured("truncated")), "incomplete");
}

}  // namespace
}  // namespace egret::tls
