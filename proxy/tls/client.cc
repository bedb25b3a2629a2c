#include "proxy/tls/client.h"

#include <openssl/err.h>
#include <openssl/sha.h>

#include <algorithm>
#include <ctime>
#include <stdexcept>

#include "proxy/tls/words.h"

namespace egret::tls {
namespace {

int version(policy::Tls::Version least) {
  return least == policy::Tls::Version::tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

policy::Pin pin_of(const X509* certificate) {
  policy::Pin pin{};
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size > 0) SHA256(der, static_cast<size_t>(size), pin.data());
  OPENSSL_free(der);
  return pin;
}

// Until when the certificate that was just verified is to be believed.
time_t believe(const SSL* ssl) {
  const time_t most = time(nullptr) + Client::kBelieved;
  const X509* certificate = SSL_get0_peer_certificate(ssl);
  std::tm end{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) {
    return 0;
  }
  return std::min(most, timegm(&end));
}

Result<> trust_as_told(SSL_CTX* context, const policy::Tls& settings, const Trust& trust) {
  if (settings.ca.empty() && settings.crl.empty()) {
    SSL_CTX_set1_cert_store(context, trust.store());
    return {};
  }
  Store own(X509_STORE_new());
  if (!own) throw std::bad_alloc();
  Result<> added;
  if (settings.ca.empty()) {
    // The lists are this rule's only: not for the store that all share.
    const STACK_OF(X509_OBJECT)* shared = X509_STORE_get0_objects(trust.store());
    for (int i = 0; i < sk_X509_OBJECT_num(shared); ++i) {
      X509* each = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(shared, i));
      if (each != nullptr) X509_STORE_add_cert(own.get(), each);
    }
  } else {
    added = add_certificates(own.get(), settings.ca);
    // Whoever is named is trusted, a root or not.
    X509_STORE_set_flags(own.get(), X509_V_FLAG_PARTIAL_CHAIN);
  }
  if (added && !settings.crl.empty()) added = add_revocation_lists(own.get(), settings.crl);
  if (added) SSL_CTX_set1_cert_store(context, own.get());
  return added;
}

}  // namespace

Result<std::shared_ptr<Client>> Client::make(const policy::Tls& settings,
                                             std::shared_ptr<const Trust> trust) {
  Context context = hardened(TLS_client_method());
  SSL_CTX* made = context.get();
  SSL_CTX_set_min_proto_version(made, version(settings.min_version));
  SSL_CTX_set_verify(made, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_alpn_protos(made, reinterpret_cast<const unsigned char*>(kHttp11.data()),
                          static_cast<unsigned>(kHttp11.size()));
  Result<> ready = trust_as_told(made, settings, *trust);
  if (ready && settings.client_certificate) {
    ready = use_key_pair(made, settings.client_certificate->certificate,
                         settings.client_certificate->private_key.reveal());
  }
  ERR_clear_error();
  if (!ready) return Unexpected(std::move(ready.error()));
  return std::shared_ptr<Client>(new Client(std::move(context), settings, std::move(trust)));
}

Client::Client(Context context, const policy::Tls& settings, std::shared_ptr<const Trust> trust)
    : context_(std::move(context)),
      trust_(std::move(trust)),
      pins_(settings.pins),
      presents_certificate_(settings.client_certificate.has_value()) {
  SSL_CTX_set_app_data(context_.get(), this);
  SSL_CTX_sess_set_new_cb(context_.get(), on_session);
  SSL_CTX_set_cert_verify_callback(context_.get(), on_chain, this);
}

Client::~Client() {
  // Connections may outlive this, with the context that they share.
  SSL_CTX_set_app_data(context_.get(), nullptr);
  SSL_CTX_sess_set_new_cb(context_.get(), nullptr);
}

std::unique_ptr<TlsStream> Client::connect(std::unique_ptr<net::Stream> below,
                                           const policy::Host& host, uint16_t port) {
  Ssl ssl(SSL_new(context_.get()));
  if (!ssl) throw std::bad_alloc();
  SSL* made = ssl.get();
  SSL_set_connect_state(made);
  bool named = false;
  if (host.literal) {
    named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(made), host.text.c_str()) == 1;
  } else {
    SSL_set_hostflags(made,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    named = SSL_set1_host(made, host.text.c_str()) == 1 &&
            SSL_set_tlsext_host_name(made, host.text.c_str()) == 1;
  }
  if (!named) throw std::runtime_error("a name to verify: " + take_error());
  std::string key = host.text + ":" + std::to_string(port);
  const Kept kept = take_session(key);
  if (kept.session) SSL_set_session(made, kept.session.get());
  auto stream =
      std::make_unique<TlsStream>(std::move(below), std::move(ssl), TlsStream::Side::connects);
  stream->findings().session_key = std::move(key);
  stream->findings().believed_until = kept.until;
  return stream;
}

// X509_verify_cert and what a rule asks beyond.
int Client::on_chain(X509_STORE_CTX* chain, void* client) {
  const bool good = X509_verify_cert(chain) == 1;
  const SSL* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  TlsStream::of(ssl).findings().fault_depth = X509_STORE_CTX_get_error_depth(chain);
  if (!good) return 0;
  const std::vector<policy::Pin>& pins = static_cast<Client*>(client)->pins_;
  if (pins.empty()) return 1;
  const STACK_OF(X509)* verified = X509_STORE_CTX_get0_chain(chain);
  for (int i = 0; i < sk_X509_num(verified); ++i) {
    if (std::ranges::find(pins, pin_of(sk_X509_value(verified, i))) != pins.end()) return 1;
  }
  TlsStream::of(ssl).findings().fault_depth = 0;
  X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

int Client::on_session(SSL* ssl, SSL_SESSION* session) {
  auto* client = static_cast<Client*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  if (client == nullptr) return 0;
  if (i2d_SSL_SESSION(session, nullptr) > kLargestSession) return 0;
  const TlsStream::Findings& findings = TlsStream::of(ssl).findings();
  const time_t until = SSL_session_reused(ssl) == 1 ? findings.believed_until : believe(ssl);
  client->keep(findings.session_key, {Session(session), until});
  return 1;
}

void Client::keep(const std::string& key, Kept kept) {
  auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    if (destinations_.size() >= kMostDestinations) {
      by_key_.erase(destinations_.back().key);
      destinations_.pop_back();
    }
    destinations_.push_front({key, {}});
    found = by_key_.emplace(destinations_.front().key, destinations_.begin()).first;
  }
  destinations_.splice(destinations_.begin(), destinations_, found->second);
  std::deque<Kept>& sessions = found->second->sessions;
  sessions.push_back(std::move(kept));
  if (sessions.size() > kMostSessions) sessions.pop_front();
}

Client::Kept Client::take_session(const std::string& key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return {nullptr, 0};
  std::deque<Kept>& sessions = found->second->sessions;
  while (!sessions.empty()) {
    Kept& newest = sessions.back();
    if (SSL_SESSION_is_resumable(newest.session.get()) != 1 || time(nullptr) >= newest.until) {
      sessions.pop_back();
      continue;
    }
    // RFC 8446 C.4: a ticket is used once, so that nobody can tell two connections to be one's.
    if (SSL_SESSION_get_protocol_version(newest.session.get()) >= TLS1_3_VERSION) {
      Kept once = std::move(newest);
      sessions.pop_back();
      return once;
    }
    SSL_SESSION_up_ref(newest.session.get());
    return {Session(newest.session.get()), newest.until};
  }
  return {nullptr, 0};
}

}  // namespace egret::tls
