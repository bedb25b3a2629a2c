#include "proxy/tls/server.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <stdexcept>

#include "base/text.h"
#include "proxy/tls/trust.h"
#include "proxy/tls/words.h"

namespace egret::tls {
namespace {

// Our one protocol, or no_application_protocol (RFC 7301 3.2).
int on_alpn(SSL* ssl, const unsigned char** out, unsigned char* size, const unsigned char* offered,
            unsigned offered_size, void*) {
  unsigned char* chosen = nullptr;
  const int found =
      SSL_select_next_proto(&chosen, size, reinterpret_cast<const unsigned char*>(kHttp11.data()),
                            kHttp11.size(), offered, offered_size);
  *out = chosen;
  if (found == OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_OK;
  TlsStream::of(ssl).findings().refusal = "The sender offers other protocols than http/1.1.";
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// The ClientHello's name against the host that the tunnel is for.
int on_server_name(SSL* ssl, int* alert, void*) {
  TlsStream::Findings& findings = TlsStream::of(ssl).findings();
  if (findings.host.empty()) return SSL_TLSEXT_ERR_NOACK;
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  std::string asked = name == nullptr ? "" : text::to_lower(name);
  if (asked.ends_with('.')) asked.pop_back();
  if (asked == findings.host) return SSL_TLSEXT_ERR_OK;
  if (asked.empty() && !findings.name_required) return SSL_TLSEXT_ERR_NOACK;
  findings.refusal = "The sender's TLS server name is " +
                     (asked.empty() ? "missing" : "\"" + text::printable(asked) + "\"") +
                     ", the tunnel's host \"" + findings.host + "\".";
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int on_client_chain(X509_STORE_CTX* chain, void*) {
  const int good = X509_verify_cert(chain);
  const SSL* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  TlsStream::of(ssl).findings().fault_depth = X509_STORE_CTX_get_error_depth(chain);
  return good;
}

Context make_context(const TicketKeys& tickets) {
  Context context = hardened(TLS_server_method());
  SSL_CTX* made = context.get();
  SSL_CTX_set_options(made, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);  // tickets only: no state here
  SSL_CTX_set_tlsext_ticket_keys(made, const_cast<unsigned char*>(tickets.data()),
                                 static_cast<long>(tickets.size()));
  SSL_CTX_set_num_tickets(made, 1);
  SSL_CTX_set_alpn_select_cb(made, on_alpn, nullptr);
  SSL_CTX_set_tlsext_servername_callback(made, on_server_name);
  return context;
}

// Sessions of one purpose are not resumed for another.
void set_session_context(SSL* ssl, std::string_view purpose) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(purpose.data()), purpose.size(), digest);
  SSL_set_session_id_context(ssl, digest, sizeof digest);
}

void add_name(std::vector<std::string>& names, const ASN1_STRING* value) {
  const auto* bytes = reinterpret_cast<const char*>(ASN1_STRING_get0_data(value));
  const std::string_view name(bytes, static_cast<size_t>(ASN1_STRING_length(value)));
  const bool plain =
      !name.empty() && std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7F; });
  if (plain) names.emplace_back(name);
}

}  // namespace

TicketKeys make_ticket_keys() {
  TicketKeys keys;
  if (RAND_bytes(keys.data(), static_cast<int>(keys.size())) != 1) {
    throw std::runtime_error("no random bytes for TLS tickets");
  }
  return keys;
}

Result<std::shared_ptr<Server>> Server::for_listener(std::string_view name,
                                                     const policy::KeyPair& certificate,
                                                     const ClientCertificates& clients,
                                                     const TicketKeys& tickets) {
  Context context = make_context(tickets);
  SSL_CTX* made = context.get();
  Result<> ready = use_key_pair(made, certificate.certificate, certificate.private_key.reveal());
  if (ready && !clients.ca.empty()) {
    Store trusted(X509_STORE_new());
    if (!trusted) throw std::bad_alloc();
    X509_STORE_set_flags(trusted.get(), X509_V_FLAG_PARTIAL_CHAIN);
    ready = add_certificates(trusted.get(), clients.ca);
    if (ready && !clients.crl.empty()) ready = add_revocation_lists(trusted.get(), clients.crl);
    SSL_CTX_set1_verify_cert_store(made, trusted.get());
    // Names the CAs to clients that have several certificates (RFC 8446 4.2.4).
    const STACK_OF(X509_OBJECT)* issuers = X509_STORE_get0_objects(trusted.get());
    for (int i = 0; i < sk_X509_OBJECT_num(issuers); ++i) {
      X509* each = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(issuers, i));
      if (each != nullptr) SSL_CTX_add_client_CA(made, each);
    }
    SSL_CTX_set_verify(
        made, SSL_VERIFY_PEER | (clients.required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
    SSL_CTX_set_cert_verify_callback(made, on_client_chain, nullptr);
  }
  ERR_clear_error();
  if (!ready) return Unexpected(std::move(ready.error()));
  const bool required = !clients.ca.empty() && clients.required;
  // What a session was verified by is part of what it is for.
  std::string purpose = "listener";
  for (const std::string_view part :
       {name, clients.ca, clients.crl, std::string_view(required ? "required" : "optional")}) {
    purpose += '\0' + std::to_string(part.size()) + ':';
    purpose += part;
  }
  return std::shared_ptr<Server>(new Server(std::move(context), std::move(purpose), required));
}

std::shared_ptr<Server> Server::for_interception(const TicketKeys& tickets) {
  return std::shared_ptr<Server>(new Server(make_context(tickets), "tunnel", false));
}

std::unique_ptr<TlsStream> Server::accept(std::unique_ptr<net::Stream> below) {
  Ssl ssl(SSL_new(context_.get()));
  if (!ssl) throw std::bad_alloc();
  SSL_set_accept_state(ssl.get());
  set_session_context(ssl.get(), purpose_);
  return std::make_unique<TlsStream>(std::move(below), std::move(ssl), TlsStream::Side::accepts);
}

std::unique_ptr<TlsStream> Server::accept_as(net::Stream& below, const policy::Host& host,
                                             const Leaf& leaf, bool sni_required) {
  Ssl ssl(SSL_new(context_.get()));
  if (!ssl) throw std::bad_alloc();
  SSL_set_accept_state(ssl.get());
  set_session_context(ssl.get(), purpose_ + '\0' + host.text);
  if (SSL_use_cert_and_key(ssl.get(), leaf.certificate.get(), leaf.key.get(), leaf.issuers, 1) !=
      1) {
    throw std::runtime_error("a leaf certificate: " + take_error());
  }
  auto stream = std::make_unique<TlsStream>(below, std::move(ssl), TlsStream::Side::accepts);
  stream->findings().host = host.text;
  stream->findings().name_required = sni_required && !host.literal;
  return stream;
}

std::vector<std::string> client_names(const TlsStream& stream) {
  std::vector<std::string> names;
  const X509* certificate = SSL_get0_peer_certificate(stream.ssl());
  if (certificate == nullptr || SSL_get_verify_result(stream.ssl()) != X509_V_OK) return names;
  const std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>> alternatives(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
    int type = 0;
    const void* value =
        GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(alternatives.get(), i), &type);
    if (type == GEN_URI || type == GEN_DNS) add_name(names, static_cast<const ASN1_STRING*>(value));
  }
  if (!names.empty()) return names;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int at = -1;;) {
    at = X509_NAME_get_index_by_NID(subject, NID_commonName, at);
    if (at < 0) break;
    add_name(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  }
  return names;
}

}  // namespace egret::tls
