// TlsStream between Client and Server over memory, and against OpenSSL's own peer.

#include "proxy/tls/stream.h"

#include <gtest/gtest.h>

#include "proxy/tls/client.h"
#include "proxy/tls/server.h"
#include "tests/net/stream_fixture.h"
#include "tests/support/tls_peer.h"

namespace egret::tls {
namespace {

using namespace std::chrono_literals;
using net::Got;
using net::Io;
using test::ManualLoop;
using test::TestCa;
using test::TlsPeer;

policy::Host host(std::string_view text) { return *policy::canonical_host(text); }

policy::Tls trusting() {
  policy::Tls settings;
  settings.ca = TestCa::get().certificate();
  return settings;
}

std::shared_ptr<Client> client(const policy::Tls& settings = trusting()) {
  return *Client::make(settings, Trust::nobody());
}

async::Task<Result<>> shake(TlsStream& stream, Deadline deadline) {
  std::string peer = "hooks.acme.io";
  co_return co_await stream.handshake(std::move(peer), deadline);
}

struct TlsTest : testing::Test {
  TlsTest() { loop.run_until_idle(); }

  // A client's stream whose far end is a TlsPeer.
  struct Against {
    std::unique_ptr<TlsStream> stream;
    test::ScriptedPeer wire;
    TlsPeer peer;
  };
  Against against(TlsPeer peer, const std::shared_ptr<Client>& by,
                  std::string_view name = "hooks.acme.io") {
    test::ScriptedConnection made = test::make_scripted_connection();
    return {by->connect(std::move(made.stream), host(name), 443), made.peer, std::move(peer)};
  }

  // Moves bytes both ways until nobody has any.
  void exchange(Against& between) {
    while (true) {
      loop.run_until_idle();
      const std::string to_peer = between.wire.take_received();
      between.peer.put(to_peer);
      const std::string to_stream = between.peer.take();
      if (to_peer.empty() && to_stream.empty()) return;
      between.wire.feed(to_stream);
    }
  }

  Result<> handshake(Against& between) {
    async::Task<Result<>> task = shake(*between.stream, loop.in(5s));
    task.start();
    exchange(between);
    if (!task.done()) {
      loop.advance(5s);
      loop.run_until_idle();
    }
    return task.result();
  }

  Got read(net::Stream& stream) { return loop.run(net::read(stream, 4096, loop.in(1s))); }

  ManualLoop loop;
};

TEST_F(TlsTest, CarriesBytesBothWays) {
  auto by = client();
  Against end = against(TlsPeer::server("hooks.acme.io"), by);
  ASSERT_TRUE(handshake(end));
  EXPECT_FALSE(end.stream->resumed());
  const Io put = loop.run(net::write(*end.stream, "POST ", "x", loop.in(1s)));
  EXPECT_TRUE(put.ok());
  EXPECT_EQ(put.bytes, 6U);
  exchange(end);
  EXPECT_EQ(end.peer.received(), "POST x");
  EXPECT_STREQ(SSL_get_servername(end.peer.ssl(), TLSEXT_NAMETYPE_host_name), "hooks.acme.io");
  end.peer.write("200 OK");
  exchange(end);
  EXPECT_EQ(read(*end.stream), "200 OK");
}

TEST_F(TlsTest, TellsAnEndThatWasAnnouncedFromOneThatWasNot) {
  for (const bool announced : {true, false}) {
    SCOPED_TRACE(announced);
    auto by = client();
    Against end = against(TlsPeer::server("hooks.acme.io"), by);
    ASSERT_TRUE(handshake(end));
    end.peer.write("last");
    if (announced) end.peer.close();
    exchange(end);
    end.wire.finish();
    loop.run_until_idle();
    EXPECT_EQ(read(*end.stream), "last");
    const Got after = read(*end.stream);
    EXPECT_EQ(after.io.status, announced ? Io::Status::closed : Io::Status::failed);
    EXPECT_EQ(after.io.error, announced ? 0 : ECONNRESET);
  }
}

TEST_F(TlsTest, SaysCloseNotifyWhenItGoesUnlessItAborts) {
  for (const bool aborts : {false, true}) {
    SCOPED_TRACE(aborts);
    auto by = client();
    Against end = against(TlsPeer::server("hooks.acme.io"), by);
    ASSERT_TRUE(handshake(end));
    if (aborts) end.stream->abort_on_close();
    end.stream.reset();
    EXPECT_EQ(end.wire.was_reset(), aborts);
    exchange(end);
    EXPECT_EQ(end.peer.closed(), !aborts);
  }
}

TEST_F(TlsTest, AHalfCloseIsACloseNotifyAndAFin) {
  auto by = client();
  Against end = against(TlsPeer::server("hooks.acme.io"), by);
  ASSERT_TRUE(handshake(end));
  end.stream->shutdown_write();
  exchange(end);
  EXPECT_TRUE(end.peer.closed());
  EXPECT_TRUE(end.wire.received_eof());
  end.peer.write("still here");
  exchange(end);
  EXPECT_EQ(read(*end.stream), "still here");
}

TEST_F(TlsTest, ATicketIsNothingToRead) {
  auto by = client();
  Against end = against(TlsPeer::server("hooks.acme.io"), by);
  ASSERT_TRUE(handshake(end));
  (void)loop.run(net::write(*end.stream, "x", "", loop.in(1s)));
  exchange(end);
  ASSERT_EQ(SSL_new_session_ticket(end.peer.ssl()), 1);
  end.peer.write("y");
  exchange(end);
  EXPECT_EQ(read(*end.stream), "y");
  EXPECT_TRUE(end.stream->quiet());
  // Alone, while nobody reads.
  ASSERT_EQ(SSL_new_session_ticket(end.peer.ssl()), 1);
  SSL_do_handshake(end.peer.ssl());
  exchange(end);
  EXPECT_TRUE(end.stream->quiet()) << "an idle connection with a new ticket may be used";
  EXPECT_TRUE(end.stream->looks_alive());
  end.peer.write("unasked");
  exchange(end);
  EXPECT_FALSE(end.stream->quiet());
}

TEST_F(TlsTest, EndsAPeerThatOnlyTalksAboutTls) {
  for (const int messages : {kMostMessages - 2, kMostMessages + 10}) {
    SCOPED_TRACE(messages);
    auto by = client();
    Against end = against(TlsPeer::server("hooks.acme.io"), by);
    ASSERT_TRUE(handshake(end));
    end.peer.write("x");
    exchange(end);
    EXPECT_EQ(read(*end.stream), "x");
    for (int i = 0; i < messages; ++i) {
      SSL_key_update(end.peer.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED);
      SSL_do_handshake(end.peer.ssl());
    }
    end.peer.write("y");
    exchange(end);
    const Got got = read(*end.stream);
    if (messages < kMostMessages) {
      EXPECT_EQ(got, "y");
      continue;
    }
    EXPECT_EQ(got.io.status, Io::Status::failed);
    ASSERT_NE(end.stream->trouble(), nullptr);
    EXPECT_EQ(end.stream->trouble()->reason, Reason::tls_protocol_error);
  }
}

// An answer to a key update is half written when the room ends, and the peer has ended too: OpenSSL
// reads nothing before it is out, so whoever waits must wait, and not try for ever.
TEST_F(TlsTest, WaitsForRoomWhenAKeyUpdateIsHalfAnswered) {
  auto by = client();
  Against end = against(TlsPeer::server("hooks.acme.io"), by);
  ASSERT_TRUE(handshake(end));
  SSL_key_update(end.peer.ssl(), SSL_KEY_UPDATE_REQUESTED);
  SSL_do_handshake(end.peer.ssl());
  end.wire.feed(end.peer.take());
  loop.run_until_idle();
  end.wire.set_capacity(3);
  char byte = 'x';
  const iovec piece{&byte, 1};
  ASSERT_EQ(end.stream->try_write({&piece, 1}).status, Io::Status::blocked);
  end.peer.write("behind it");
  end.wire.feed(end.peer.take());
  end.wire.finish();
  loop.run_until_idle();
  std::array<char, 100> buffer;
  ASSERT_EQ(end.stream->read_now(buffer).status, Io::Status::blocked);
  EXPECT_FALSE(loop.run(net::wait_readable(*end.stream, loop.in(1s))));
  end.wire.set_capacity(SIZE_MAX);
  (void)end.wire.take_received();
  loop.run_until_idle();
  EXPECT_EQ(read(*end.stream), "behind it");
}

TEST_F(TlsTest, ReadsWhatHasComeThoughNothingCanBeSent) {
  auto by = client();
  Against end = against(TlsPeer::server("hooks.acme.io"), by);
  ASSERT_TRUE(handshake(end));
  end.peer.write("413");
  end.wire.feed(end.peer.take());
  end.wire.faults().reset_after_write = 0;
  (void)loop.run(net::write(*end.stream, "more", "", loop.in(1s)));
  const Io put = loop.run(net::write(*end.stream, "more", "", loop.in(1s)));
  EXPECT_EQ(put.status, Io::Status::failed);
  EXPECT_EQ(read(*end.stream), "413");
}

TEST_F(TlsTest, ResumesWhatItHasSpokenBefore) {
  auto by = client();
  TlsPeer first = TlsPeer::server("hooks.acme.io");
  SSL_CTX* context = first.context();
  SSL_CTX_up_ref(context);
  Against once = against(std::move(first), by);
  ASSERT_TRUE(handshake(once));
  once.peer.write("x");
  exchange(once);
  EXPECT_EQ(read(*once.stream), "x");
  once.stream.reset();

  struct Case {
    std::string_view name;
    bool resumed;
  };
  for (const Case& each : {Case{"other.acme.io", false}, Case{"hooks.acme.io", true}}) {
    SCOPED_TRACE(each.name);
    TlsPeer again = TlsPeer::with_context(context);
    Against end = against(std::move(again), by, each.name);
    const Result<> done = handshake(end);
    EXPECT_EQ(done.has_value(), each.resumed) << "the other name has no certificate here";
    EXPECT_EQ(done && end.stream->resumed(), each.resumed);
  }
  SSL_CTX_free(context);
}

struct Refusal {
  std::string_view what;
  std::string_view certified;  // whom the server's certificate is for
  std::string_view asked;
  Reason reason;
  std::string_view detail;
};

TEST_F(TlsTest, RefusesACertificateForAnotherName) {
  const Refusal cases[] = {
      {"another name", "other.acme.io", "hooks.acme.io", Reason::tls_certificate_error,
       "it is for another name"},
      {"an address for a name", "192.0.2.1", "hooks.acme.io", Reason::tls_certificate_error,
       "it is for another name"},
      {"another address", "192.0.2.2", "192.0.2.1", Reason::tls_certificate_error,
       "it is for another name"},
      {"a parent domain", "acme.io", "hooks.acme.io", Reason::tls_certificate_error,
       "it is for another name"},
  };
  for (const Refusal& each : cases) {
    SCOPED_TRACE(each.what);
    auto by = client();
    Against end = against(TlsPeer::server(each.certified), by, each.asked);
    const Result<> done = handshake(end);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().reason, each.reason);
    EXPECT_NE(done.error().detail.find(each.detail), std::string::npos) << done.error().detail;
    EXPECT_FALSE(end.peer.ready());
  }
}

TEST_F(TlsTest, AsksForNoServerNameWhenTheHostIsAnAddress) {
  for (const std::string_view name : {"192.0.2.1", "2001:db8::1"}) {
    auto by = client();
    Against end = against(TlsPeer::server(name), by, name);
    EXPECT_TRUE(handshake(end));
    EXPECT_EQ(SSL_get_servername(end.peer.ssl(), TLSEXT_NAMETYPE_host_name), nullptr);
  }
}

TEST_F(TlsTest, TrustsNobodyByItself) {
  auto by = client(policy::Tls());
  Against end = against(TlsPeer::server("hooks.acme.io"), by);
  const Result<> done = handshake(end);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().reason, Reason::tls_certificate_error);
}

TEST_F(TlsTest, WantsOneOfThePins) {
  policy::Tls settings = trusting();
  settings.pins.push_back(policy::Pin{});
  auto by = client(settings);
  Against end = against(TlsPeer::server("hooks.acme.io"), by);
  const Result<> done = handshake(end);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().reason, Reason::tls_certificate_error);
  EXPECT_NE(done.error().detail.find("pinned"), std::string::npos) << done.error().detail;
}

TEST_F(TlsTest, SaysWhatEndedAHandshake) {
  struct Case {
    std::string_view what;
    std::string_view bytes;  // in the place of a ServerHello
    bool ends;
    Reason reason;
    std::string_view detail;
  };
  const Case cases[] = {
      {"plain HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", false, Reason::tls_protocol_error,
       "wrong version number"},
      {"an alert",
       {"\x15\x03\x03\x00\x02\x02\x28", 7},
       false,
       Reason::tls_alert_received,
       "handshake_failure"},
      {"an end", "", true, Reason::tls_protocol_error, "closed the connection"},
      {"silence", "", false, Reason::tls_timeout, "in time"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.what);
    auto by = client();
    test::ScriptedConnection made = test::make_scripted_connection();
    const auto stream = by->connect(std::move(made.stream), host("hooks.acme.io"), 443);
    async::Task<Result<>> task = shake(*stream, loop.in(5s));
    task.start();
    loop.run_until_idle();
    made.peer.feed(each.bytes);
    if (each.ends) made.peer.finish();
    loop.run_until_idle();
    if (!task.done()) loop.advance(5s);
    ASSERT_TRUE(task.done());
    const Result<> done = task.result();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().reason, each.reason);
    EXPECT_NE(done.error().detail.find(each.detail), std::string::npos) << done.error().detail;
  }
}

TEST_F(TlsTest, CarriesMuchThroughLittleRoom) {
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{1000}}) {
    SCOPED_TRACE(piece);
    auto by = client();
    auto server = Server::for_interception(make_ticket_keys());
    auto [near, far] = test::make_pipe_pair(piece == 1 ? 50 : 3000);
    far->faults().most_per_read = piece;
    far->faults().most_per_write = piece;
    const Leaf leaf = TestCa::get().leaf("hooks.acme.io");
    auto out = by->connect(std::move(near), host("hooks.acme.io"), 443);
    auto in = server->accept_as(*far, host("hooks.acme.io"), leaf, true);
    async::Task<Result<>> a = shake(*out, loop.in(5s));
    async::Task<Result<>> b = shake(*in, loop.in(5s));
    a.start();
    b.start();
    loop.run_until_idle();
    ASSERT_TRUE(a.done() && a.result());
    ASSERT_TRUE(b.done() && b.result());
    std::string sent(100'000, 'a');
    for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7);
    async::Task<Io> writing = net::write(*out, sent.substr(0, 10), sent.substr(10), loop.in(5s));
    writing.start();
    std::string got;
    while (got.size() < sent.size()) {
      const Got part = read(*in);
      ASSERT_TRUE(part.io.ok());
      got += part.bytes;
    }
    loop.run_until_idle();
    EXPECT_TRUE(writing.done());
    EXPECT_EQ(got, sent);
  }
}

TEST_F(TlsTest, AnInterceptedSenderMayAskForTheTunnelsHostOnly) {
  struct Case {
    std::string_view asked;
    bool required;
    std::string_view host;
    bool good;
  };
  const Case cases[] = {
      {"hooks.acme.io", false, "hooks.acme.io", true},
      {"HOOKS.acme.io", true, "hooks.acme.io", true},
      {"", false, "hooks.acme.io", true},
      {"", true, "hooks.acme.io", false},
      {"evil.example", false, "hooks.acme.io", false},
      {"", true, "192.0.2.1", true},
      {"evil.example", false, "192.0.2.1", false},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(std::string(each.asked) + " for " + std::string(each.host));
    auto server = Server::for_interception(make_ticket_keys());
    test::ScriptedConnection made = test::make_scripted_connection();
    const Leaf leaf = TestCa::get().leaf(each.host);
    auto stream = server->accept_as(*made.stream, host(each.host), leaf, each.required);
    TlsPeer sender = TlsPeer::client(each.asked);
    stream->preload(sender.take());
    async::Task<Result<>> task = shake(*stream, loop.in(5s));
    task.start();
    while (!task.done()) {
      loop.run_until_idle();
      sender.put(made.peer.take_received());
      made.peer.feed(sender.take());
      loop.run_until_idle();
    }
    const Result<> done = task.result();
    EXPECT_EQ(done.has_value(), each.good);
    if (done) continue;
    EXPECT_EQ(done.error().reason, Reason::sender_tls_failed);
    EXPECT_NE(done.error().detail.find("server name"), std::string::npos) << done.error().detail;
    sender.put(made.peer.take_received());
    EXPECT_NE(sender.error().find("unrecognized name"), std::string::npos) << sender.error();
  }
}

TEST_F(TlsTest, SpeaksHttp11OnlyWhereProtocolsAreOffered) {
  struct Case {
    std::string_view offered;
    bool good;
  };
  const Case cases[] = {{"\x08http/1.1", true}, {"\x02h2\x08http/1.1", true}, {"\x02h2", false}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.offered);
    auto server = Server::for_interception(make_ticket_keys());
    test::ScriptedConnection made = test::make_scripted_connection();
    auto stream = server->accept_as(*made.stream, host("hooks.acme.io"),
                                    TestCa::get().leaf("hooks.acme.io"), false);
    TlsPeer sender = TlsPeer::client("hooks.acme.io", each.offered);
    async::Task<Result<>> task = shake(*stream, loop.in(5s));
    task.start();
    for (int i = 0; i < 4; ++i) {
      made.peer.feed(sender.take());
      loop.run_until_idle();
      sender.put(made.peer.take_received());
    }
    ASSERT_TRUE(task.done());
    EXPECT_EQ(task.result().has_value(), each.good);
    const unsigned char* chosen = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(sender.ssl(), &chosen, &size);
    EXPECT_EQ(std::string(chosen, chosen + size), each.good ? "http/1.1" : "");
  }
}

}  // namespace
}  // namespace egret::tls
