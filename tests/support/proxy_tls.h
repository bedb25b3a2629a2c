#pragma once

#include <string>
#include <string_view>

#include "tests/support/proxy_world.h"
#include "tests/support/tls_peer.h"

namespace egret::test {

// A far end that speaks TLS: a destination, or a sender in an intercepted tunnel.
class TlsFarEnd {
 public:
  TlsFarEnd(FarEnd& far, TlsPeer peer) : far_(far), peer_(std::move(peer)) { pump(); }
  // Moves bytes both ways until nobody has any.
  void pump();
  void send(std::string_view text);
  // What came, decrypted.
  std::string& received();
  Message take(Kind kind) { return take_message(received(), kind); }
  TlsPeer& peer() { return peer_; }
  FarEnd& far() { return far_; }

 private:
  FarEnd& far_;
  TlsPeer peer_;
};

// YAML of a rule's `tls` that trusts the TestCa.
std::string trusting_the_test_ca();

}  // namespace egret::test
