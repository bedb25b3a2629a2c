#include "proxy/tls/client_hello.h"

#include <algorithm>

#include "base/text.h"

namespace egret::tls {
namespace {

// RFC 8446 5.1, 4, 4.2; RFC 6066 3; ECH: RFC 9849.
constexpr size_t kRecordHeader = 5;
constexpr size_t kMostInRecord = 1 << 14;
constexpr uint8_t kHandshake = 22;
constexpr uint8_t kClientHello = 1;
constexpr uint8_t kMajorVersion = 3;
constexpr size_t kRandom = 32;
constexpr size_t kMostSessionId = 32;
constexpr uint16_t kServerName = 0;
constexpr uint8_t kHostName = 0;
constexpr uint16_t kEncryptedClientHello = 0xfe0d;

constexpr std::string_view kTooLong = "it is longer than 64 KiB";
constexpr std::string_view kNoRecord = "it begins with no handshake record";
constexpr std::string_view kBadLength = "a length in it is wrong";
constexpr std::string_view kBadName = "its server name is malformed";
constexpr std::string_view kTwice = "an extension is there twice";

uint8_t byte_at(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

// Takes fields off the front. Once one does not fit, everything is empty and ok() false.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_(bytes) {}
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }
  std::string_view take(size_t size) {
    if (size > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  // An unsigned number of `size` bytes, big-endian.
  size_t number(size_t size) {
    size_t value = 0;
    for (const char c : take(size)) value = value << 8 | static_cast<uint8_t>(c);
    return value;
  }
  // What stands behind its length of `size` bytes.
  std::string_view vector(size_t size) {
    const size_t length = number(size);
    return take(length);
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

bool is_printable(char c) { return c > ' ' && c < 0x7f; }

// One name of one type, as OpenSSL and BoringSSL have it: what a second one means differs.
std::optional<std::string> read_server_name(std::string_view extension) {
  Cursor cursor(extension);
  Cursor list(cursor.vector(2));
  const bool is_host = list.number(1) == kHostName;
  std::string_view name = list.vector(2);
  if (!cursor.done() || !list.done() || !is_host) return std::nullopt;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || !std::ranges::all_of(name, is_printable)) return std::nullopt;
  return text::to_lower(name);
}

// The fault, or "".
std::string_view read_extensions(std::string_view extensions, ClientHello& hello) {
  Cursor cursor(extensions);
  bool named = false;
  while (!cursor.done()) {
    const size_t type = cursor.number(2);
    const std::string_view content = cursor.vector(2);
    if (!cursor.ok()) return kBadLength;
    if (type == kServerName) {
      if (named) return kTwice;
      named = true;
      hello.server_name = read_server_name(content);
      if (!hello.server_name) return kBadName;
    } else if (type == kEncryptedClientHello) {
      if (hello.encrypted) return kTwice;
      hello.encrypted = true;
    }
  }
  return {};
}

// Of the message without its header. Before TLS 1.3 there may be no extensions at all.
std::string_view read_body(std::string_view body, ClientHello& hello) {
  Cursor cursor(body);
  const std::string_view version = cursor.take(2);
  cursor.take(kRandom);
  const std::string_view session_id = cursor.vector(1);
  const std::string_view suites = cursor.vector(2);
  const std::string_view compressions = cursor.vector(1);
  if (!cursor.ok()) return kBadLength;
  if (byte_at(version, 0) != kMajorVersion) return "its version is none of TLS";
  if (session_id.size() > kMostSessionId || suites.empty() || suites.size() % 2 != 0 ||
      compressions.empty()) {
    return kBadLength;
  }
  if (cursor.done()) return {};
  const std::string_view extensions = cursor.vector(2);
  if (!cursor.done()) return kBadLength;
  return read_extensions(extensions, hello);
}

}  // namespace

ClientHelloReader::Outcome ClientHelloReader::look(std::string_view bytes) {
  while (outcome_ == Outcome::incomplete && seen_ < bytes.size()) {
    if (left_ > 0) {
      take_fragment(bytes);
    } else if (!take_record_header(bytes)) {
      break;
    }
  }
  if (outcome_ == Outcome::incomplete && bytes.size() >= kMostClientHello) refuse(kTooLong);
  return outcome_;
}

// False when the header is not there whole, or wrong.
bool ClientHelloReader::take_record_header(std::string_view bytes) {
  const std::string_view header = bytes.substr(seen_, kRecordHeader);
  // legacy_record_version says nothing (RFC 8446 5.1), but its first byte has always been 3.
  if (byte_at(header, 0) != kHandshake ||
      (header.size() > 1 && byte_at(header, 1) != kMajorVersion)) {
    refuse(kNoRecord);
    return false;
  }
  if (header.size() < kRecordHeader) return false;
  left_ = static_cast<size_t>(byte_at(header, 3)) << 8 | byte_at(header, 4);
  seen_ += kRecordHeader;
  if (left_ == 0 || left_ > kMostInRecord) refuse(kBadLength);
  return true;
}

void ClientHelloReader::take_fragment(std::string_view bytes) {
  const std::string_view part = bytes.substr(seen_, left_);
  for (size_t i = 0; i < part.size() && gathered_ + i < kMessageHeader; ++i) {
    header_[gathered_ + i] = byte_at(part, i);
  }
  seen_ += part.size();
  left_ -= part.size();
  gathered_ += part.size();
  if (header_[0] != kClientHello) return refuse("it begins with another message");
  if (gathered_ < kMessageHeader) return;
  const size_t whole = kMessageHeader + (static_cast<size_t>(header_[1]) << 16 |
                                         static_cast<size_t>(header_[2]) << 8 | header_[3]);
  if (gathered_ + left_ > whole) return refuse("another message stands behind it in its record");
  if (seen_ + (whole - gathered_) > kMostClientHello) return refuse(kTooLong);
  if (gathered_ == whole) read_message(bytes.substr(0, seen_));
}

// `bytes`: its records, and no more.
void ClientHelloReader::read_message(std::string_view bytes) {
  std::string message;
  message.reserve(gathered_);
  for (Cursor records(bytes); !records.done();) {
    records.take(kRecordHeader - 2);
    message += records.vector(2);
  }
  ClientHello hello;
  const std::string_view fault = read_body(std::string_view(message).substr(kMessageHeader), hello);
  if (!fault.empty()) return refuse(fault);
  hello_ = std::move(hello);
  outcome_ = Outcome::hello;
}

void ClientHelloReader::refuse(std::string_view fault) {
  outcome_ = Outcome::not_tls;
  fault_ = fault;
}

}  // namespace egret::tls
