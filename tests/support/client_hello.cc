#include "tests/support/client_hello.h"

namespace egret::test {

std::string big_endian(size_t value, size_t bytes) {
  std::string out(bytes, '\0');
  for (size_t i = bytes; i > 0; --i, value >>= 8) out[i - 1] = static_cast<char>(value & 0xff);
  return out;
}

std::string tls_vector(std::string_view content, size_t bytes) {
  return big_endian(content.size(), bytes).append(content);
}

std::string tls_extension(size_t type, std::string_view content) {
  return big_endian(type, 2) + tls_vector(content, 2);
}

std::string sni_extension(std::string_view name) {
  return tls_extension(0, tls_vector(std::string(1, '\0') + tls_vector(name, 2), 2));
}

std::string client_hello_message(std::optional<std::string> extensions) {
  std::string body = "\x03\x03" + std::string(32, 'r');  // version, random
  body += tls_vector("", 1);                             // session id
  body += tls_vector("\x13\x01\x13\x02", 2);             // cipher suites
  body += tls_vector(std::string(1, '\0'), 1);           // compression methods
  if (extensions) body += tls_vector(*extensions, 2);
  return "\x01" + tls_vector(body, 3);
}

std::string tls_records(std::string_view message, size_t most) {
  std::string out;
  while (!message.empty()) {
    const std::string_view part = message.substr(0, most);
    out += "\x16\x03\x01" + tls_vector(part, 2);
    message.remove_prefix(part.size());
  }
  return out;
}

std::string client_hello(std::optional<std::string_view> name, std::string_view extensions) {
  std::string all(extensions);
  if (name) all += sni_extension(*name);
  return tls_records(client_hello_message(all));
}

}  // namespace egret::test
