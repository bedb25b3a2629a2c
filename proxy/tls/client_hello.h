#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace egret::tls {

// What a ClientHello says of where it wants to go.
struct ClientHello {
  // SNI's host_name (RFC 6066 3), in lower case and without one dot at its end: printable ASCII,
  // not empty. Nothing when the extension is absent. With `encrypted` it is the outer one.
  std::optional<std::string> server_name;
  bool encrypted = false;  // Encrypted Client Hello, or its GREASE, is there (extension 0xfe0d)
};

// A ClientHello ends within this many bytes, its records' headers included, or is none.
inline constexpr size_t kMostClientHello = 64 * 1024;

// Finds a ClientHello in the first bytes that a client sends, over as many records as it fills
// (RFC 8446 5.1). Pure; each byte is looked at twice at most, in however many pieces they come.
//   Every length must fit, as its destination will check: a hello that two readers understand in
//   two ways is none. So are two names, two extensions of SNI or ECH, an empty name, a name with a
//   byte that is not printable ASCII, an empty record or one over 2^14 bytes, another record before
//   the hello is whole, another message behind it in its record, and the hello of SSL 2.
class ClientHelloReader {
 public:
  enum class Outcome : uint8_t { incomplete, not_tls, hello };

  // `bytes` are all that came so far. Known as early as can be: nothing waits for more of what can
  // be no hello. Once it is not `incomplete` it stays; bytes behind the hello do not matter.
  Outcome look(std::string_view bytes);

  // Of Outcome::hello.
  [[nodiscard]] const ClientHello& hello() const { return hello_; }
  // Of Outcome::not_tls: why, without a byte of what came.
  [[nodiscard]] std::string_view fault() const { return fault_; }

 private:
  static constexpr size_t kMessageHeader = 4;
  bool take_record_header(std::string_view bytes);
  void take_fragment(std::string_view bytes);
  void read_message(std::string_view bytes);
  void refuse(std::string_view fault);

  Outcome outcome_ = Outcome::incomplete;
  std::string_view fault_;
  ClientHello hello_;
  size_t seen_ = 0;      // bytes looked at
  size_t left_ = 0;      // of the record that `seen_` is in
  size_t gathered_ = 0;  // bytes of the message, in all fragments
  std::array<uint8_t, kMessageHeader> header_{};
};

}  // namespace egret::tls
