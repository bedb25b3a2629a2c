#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/exchange.h"

namespace egret::proxy {

// Preface is what a sender's connection begins with before its first request, where the listener
// has it: a PROXY protocol header, then the TLS handshake of an HTTPS proxy. Owner: the session.
struct Preface {
  std::unique_ptr<net::Stream> stream;  // with TLS once that is done
  std::shared_ptr<const ListenerInfo> listener;
  std::optional<policy::Address> address;             // the sender's, or what the header says
  std::vector<std::string> certificate_names = {};    // of a verified client certificate
  std::shared_ptr<const Policy> verified_under = {};  // the settings of the handshake; null: none

  // By the settings in force now. Read them while nothing has come yet.
  [[nodiscard]] bool needed(const Services& services) const;
  // False when it was not as it must be, which has been recorded: proxy_protocol_invalid,
  // sender_tls_failed. Silent when not one byte came. Deadline: the defaults' timeouts.tls.
  async::Task<bool> read(Services& services);
  // False once a reload has changed what the listener asks of client certificates, or whether it
  // has TLS at all: whoever was let in before must come again. Notes settings that changed nothing.
  [[nodiscard]] bool still_trusted(const Services& services);

 private:
  async::Task<Result<>> read_address(const config::Listener* settings, Deadline deadline);
  async::Task<Result<>> shake_hands(Services& services, tls::Server& server, Deadline deadline);
};

}  // namespace egret::proxy
