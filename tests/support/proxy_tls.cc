#include "tests/support/proxy_tls.h"

namespace egret::test {

void TlsFarEnd::pump() {
  while (true) {
    std::string& came = far_.received();
    const std::string bytes = std::exchange(came, {});
    peer_.put(bytes);
    const std::string answer = peer_.take();
    if (bytes.empty() && answer.empty()) return;
    if (!answer.empty()) far_.send(answer);
  }
}

void TlsFarEnd::send(std::string_view text) {
  peer_.write(text);
  pump();
}

std::string& TlsFarEnd::received() {
  pump();
  return peer_.received();
}

std::string trusting_the_test_ca() {
  Gateway::environment()["TEST_CA"] = TestCa::get().certificate();
  return "tls: {ca: TEST_CA}";
}

}  // namespace egret::test
