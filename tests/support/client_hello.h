#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace egret::test {

// A number as TLS writes it.
std::string big_endian(size_t value, size_t bytes);
// `content` behind its length of `bytes` bytes.
std::string tls_vector(std::string_view content, size_t bytes);
// An extension of a ClientHello (RFC 8446 4.2).
std::string tls_extension(size_t type, std::string_view content);
// The server_name extension with one host_name (RFC 6066 3), whatever is in it.
std::string sni_extension(std::string_view name);
// A ClientHello's message with these extensions; nothing: without the field.
std::string client_hello_message(std::optional<std::string> extensions);
// `message` in handshake records of at most `most` bytes each.
std::string tls_records(std::string_view message, size_t most = 1 << 14);
// A whole ClientHello for `name`, or without SNI, in one record; `extensions` stand before it.
std::string client_hello(std::optional<std::string_view> name, std::string_view extensions = {});

}  // namespace egret::test
