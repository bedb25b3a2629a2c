// The program's one dial, with the kernel's sockets: where a connection comes from.

#include "proxy/net/dialer.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "proxy/net/socket.h"
#include "tests/support/fakes.h"

namespace egret::net {
namespace {

using namespace std::chrono_literals;
using async::Loop;
using async::Scheduler;

// A listening socket on an address of this machine.
struct Listening {
  explicit Listening(std::string_view on) {
    const policy::Endpoint any{*policy::Address::parse(on), 0};
    fd = Fd(socket(any.address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    SocketAddress address = SocketAddress::of(any);
    if (bind(fd.get(), address.get(), address.length) != 0 || listen(fd.get(), 8) != 0 ||
        getsockname(fd.get(), address.get(), &address.length) != 0) {
      throw std::runtime_error("cannot listen");
    }
    endpoint = *address.endpoint();
  }
  // Who has connected.
  [[nodiscard]] std::optional<policy::Endpoint> accept_one() const {
    SocketAddress peer;
    peer.length = sizeof peer.storage;
    const Fd accepted(accept4(fd.get(), peer.get(), &peer.length, SOCK_CLOEXEC));
    return accepted.valid() ? peer.endpoint() : std::nullopt;
  }
  Fd fd;
  policy::Endpoint endpoint;
};

using Dialled = Result<std::unique_ptr<Stream>>;

struct SystemDialerTest : testing::Test {
  SystemClock clock;
  Loop loop{clock};
  SystemDialer dialer{loop};
  void SetUp() override { loop.turn(false); }

  Dialled dial(const policy::Endpoint& to, std::optional<std::string_view> source) {
    std::optional<policy::Address> from;
    if (source) from = policy::Address::parse(*source);
    const std::string endpoint = to.to_string();
    const policy::PermittedAddress address = test::permitted({endpoint}).front();
    auto task = dialer.dial(address, from, Scheduler::current().now() + 5s);
    task.start();
    while (!task.done()) loop.turn(true);
    return task.result();
  }
};

TEST_F(SystemDialerTest, DialsFromItsSource) {
  const Listening far("127.0.0.1");
  for (const std::string_view source : {"127.0.0.2", "127.0.0.3"}) {
    SCOPED_TRACE(source);
    const Dialled dialled = dial(far.endpoint, source);
    ASSERT_TRUE(dialled.has_value()) << dialled.error().detail;
    const auto peer = far.accept_one();
    ASSERT_TRUE(peer.has_value());
    EXPECT_EQ(peer->address.to_string(), source);
    EXPECT_NE(peer->port, 0);
  }
}

TEST_F(SystemDialerTest, DialsFromWhereTheRouteSaysWithoutOne) {
  const Listening far("127.0.0.1");
  const Dialled dialled = dial(far.endpoint, std::nullopt);
  ASSERT_TRUE(dialled.has_value()) << dialled.error().detail;
  EXPECT_EQ(far.accept_one()->address.to_string(), "127.0.0.1");
}

TEST_F(SystemDialerTest, RefusesASourceThatIsNotThisMachines) {
  const Listening far("127.0.0.1");
  const Dialled dialled = dial(far.endpoint, "192.0.2.7");
  ASSERT_FALSE(dialled.has_value());
  EXPECT_EQ(dialled.error().reason, Reason::destination_unroutable);
  EXPECT_EQ(dialled.error().detail, "source 192.0.2.7: Cannot assign requested address");
}

TEST_F(SystemDialerTest, RefusesASourceOfTheOtherFamily) {
  const Listening far("127.0.0.1");
  const Dialled dialled = dial(far.endpoint, "::1");
  ASSERT_FALSE(dialled.has_value());
  EXPECT_EQ(dialled.error().reason, Reason::destination_unroutable);
  EXPECT_TRUE(dialled.error().detail.starts_with("source ::1: ")) << dialled.error().detail;
}

}  // namespace
}  // namespace egret::net
