// Handshakes: Egret's streams beside OpenSSL alone, both ends in this one thread, over memory.
#include <benchmark/benchmark.h>

#include <stdexcept>
#include <string>

#include "proxy/tls/client.h"
#include "proxy/tls/server.h"
#include "tests/support/manual_loop.h"
#include "tests/support/memory_stream.h"
#include "tests/support/tls_peer.h"

namespace egret {
namespace {

using test::TestCa;

constexpr std::string_view kHost = "hooks.partner.example";

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

policy::Host host() { return *policy::canonical_host(kHost); }

policy::Tls trusting() {
  policy::Tls settings;
  settings.ca = TestCa::get().certificate();
  return settings;
}

// ---- OpenSSL alone ----------------------------------------------------------------------------

// What an Egret is set to, without Egret.
tls::Context bare_client() {
  tls::Context context(SSL_CTX_new(TLS_client_method()));
  require(tls::add_certificates(SSL_CTX_get_cert_store(context.get()), TestCa::get().certificate())
              .has_value(),
          "trust");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context.get(), [](SSL* ssl, SSL_SESSION* session) {
    static_cast<tls::Session*>(SSL_get_app_data(ssl))->reset(session);
    return 1;
  });
  return context;
}

tls::Context bare_server() {
  tls::Context context(SSL_CTX_new(TLS_server_method()));
  const policy::KeyPair pair = TestCa::get().certify(kHost);
  require(tls::use_key_pair(context.get(), pair.certificate, pair.private_key.reveal()).has_value(),
          "certificate");
  SSL_CTX_set_num_tickets(context.get(), 1);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  return context;
}

// One handshake and one byte each way, so that the tickets have come.
void bare_handshake(SSL_CTX* client, SSL_CTX* server, tls::Session& session) {
  const tls::Ssl a(SSL_new(client));
  const tls::Ssl b(SSL_new(server));
  BIO* one = nullptr;
  BIO* other = nullptr;
  require(BIO_new_bio_pair(&one, 1 << 16, &other, 1 << 16) == 1, "bio");
  SSL_set_bio(a.get(), one, one);
  SSL_set_bio(b.get(), other, other);
  SSL_set_connect_state(a.get());
  SSL_set_accept_state(b.get());
  SSL_set_tlsext_host_name(a.get(), std::string(kHost).c_str());
  SSL_set1_host(a.get(), std::string(kHost).c_str());
  SSL_set_app_data(a.get(), &session);
  if (session) SSL_set_session(a.get(), session.get());
  for (int i = 0; i < 8 && (!SSL_is_init_finished(a.get()) || !SSL_is_init_finished(b.get()));
       ++i) {
    SSL_do_handshake(a.get());
    SSL_do_handshake(b.get());
  }
  char byte = 'x';
  require(SSL_write(a.get(), &byte, 1) == 1 && SSL_read(b.get(), &byte, 1) == 1 &&
              SSL_write(b.get(), &byte, 1) == 1 && SSL_read(a.get(), &byte, 1) == 1,
          "bytes");
  SSL_shutdown(a.get());
  SSL_shutdown(b.get());
}

void openssl_alone(benchmark::State& state, bool resumed) {
  const tls::Context client = bare_client();
  const tls::Context server = bare_server();
  tls::Session session;
  for (auto _ : state) {
    if (!resumed) session.reset();
    bare_handshake(client.get(), server.get(), session);
  }
}
BENCHMARK_CAPTURE(openssl_alone, full, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(openssl_alone, resumed, true)->Unit(benchmark::kMicrosecond);

// ---- Egret's streams --------------------------------------------------------------------------

async::Task<Result<>> shake(tls::TlsStream& stream) {
  std::string peer = "peer";
  co_return co_await stream.handshake(std::move(peer), kNever);
}

void one_byte(test::ManualLoop& loop, net::Stream& from, net::Stream& to) {
  char byte = 'x';
  const iovec piece{&byte, 1};
  require(from.try_write({&piece, 1}).ok(), "write");
  loop.run_until_idle();
  require(to.try_read({&byte, 1}).ok(), "read");
}

// Both ends Egret's: a destination's client and an intercepted sender's server.
void egret_handshake(test::ManualLoop& loop, tls::Client& client, tls::Server& server,
                     const tls::Leaf& leaf, const policy::Host& name, uint16_t port = 443) {
  auto [near, far] = test::make_pipe_pair(1 << 16);
  auto out = client.connect(std::move(near), name, port);
  auto in = server.accept_as(*far, name, leaf, false);
  async::Task<Result<>> a = shake(*out);
  async::Task<Result<>> b = shake(*in);
  a.start();
  b.start();
  loop.run_until_idle();
  require(a.done() && a.result() && b.done() && b.result(), "handshake");
  one_byte(loop, *out, *in);
  one_byte(loop, *in, *out);
  in.reset();
  out.reset();
  loop.run_until_idle();
}

void egret_streams(benchmark::State& state, bool resumed) {
  test::ManualLoop loop;
  const policy::Host name = host();
  const auto server = tls::Server::for_interception(tls::make_ticket_keys());
  const tls::Leaf leaf = TestCa::get().leaf(kHost);
  auto client = *tls::Client::make(trusting(), tls::Trust::nobody());
  // Another port is another destination, which has no session yet.
  uint16_t port = 1;
  for (auto _ : state) {
    if (!resumed && ++port > 2 * tls::Client::kMostDestinations) port = 1;
    egret_handshake(loop, *client, *server, leaf, name, port);
  }
}
BENCHMARK_CAPTURE(egret_streams, full, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(egret_streams, resumed, true)->Unit(benchmark::kMicrosecond);

// A tunnel that is intercepted, its certificate in the cache, beside one whose certificate never
// changes.
void intercepted(benchmark::State& state, bool looked_up) {
  test::ManualLoop loop;
  const policy::Host name = host();
  auto authority = *tls::Authority::load(TestCa::get().pair());
  const WallTime now = std::chrono::system_clock::now();
  const auto server = tls::Server::for_interception(tls::make_ticket_keys());
  Result<tls::Leaf> leaf = authority->leaf(name, now);
  auto client = *tls::Client::make(trusting(), tls::Trust::nobody());
  uint16_t port = 1;
  for (auto _ : state) {
    if (++port > 2 * tls::Client::kMostDestinations) port = 1;
    if (looked_up) leaf = authority->leaf(name, now);
    egret_handshake(loop, *client, *server, *leaf, name, port);
  }
}
BENCHMARK_CAPTURE(intercepted, fixed_certificate, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(intercepted, warm_leaf_cache, true)->Unit(benchmark::kMicrosecond);

void minting_a_leaf(benchmark::State& state) {
  auto authority = *tls::Authority::load(TestCa::get().pair());
  const WallTime now = std::chrono::system_clock::now();
  int64_t n = 0;
  for (auto _ : state) {
    const policy::Host each = *policy::canonical_host("h" + std::to_string(n++) + ".example");
    benchmark::DoNotOptimize(authority->leaf(each, now));
  }
}
BENCHMARK(minting_a_leaf)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace egret
