#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/async/race.h"
#include "proxy/net/socket.h"

namespace egret::net {
namespace {

using namespace std::chrono_literals;
using async::Loop;
using async::Scheduler;
using async::Task;

// Two connected TCP sockets over loopback.
struct Tcp {
  Tcp() {
    const Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    near = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (bind(listener.get(), any, length) != 0 || listen(listener.get(), 1) != 0 ||
        getsockname(listener.get(), any, &length) != 0 || connect(near.get(), any, length) != 0) {
      throw std::runtime_error("no loopback");
    }
    far = Fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    fcntl(near.get(), F_SETFL, O_NONBLOCK);
  }
  void send_from_far(std::string_view text) const {
    ASSERT_EQ(::send(far.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  void reset_from_far() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(far.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    { const Fd closing = std::move(far); }
    far = Fd();
  }
  Fd near;
  Fd far;
};

Task<std::string> read_once(Stream& stream) {
  std::string bytes(100, '\0');
  const std::span<char> buffer(bytes);
  const Deadline deadline = Scheduler::current().now() + 5s;
  const Io io = co_await stream.read_some(buffer, deadline);
  if (io.status == Io::Status::timed_out) co_return "timed out";
  if (io.status == Io::Status::closed) co_return "closed";
  if (io.status == Io::Status::failed) co_return std::strerror(io.error);
  co_return bytes.substr(0, io.bytes);
}

Task<bool> closed(Stream& stream) {
  co_await stream.until_closed();
  co_return true;
}

Task<bool> closed_in_time(Stream& stream) {
  Task<bool> work = closed(stream);
  const Deadline deadline = Scheduler::current().now() + 5s;
  const std::optional<bool> came = co_await async::race(std::move(work), deadline);
  co_return came.has_value();
}

struct SocketStreamTest : testing::Test {
  SystemClock clock;
  Loop loop{clock};
  Tcp tcp;
  const int fd = tcp.near.get();
  SocketStream stream{loop, std::move(tcp.near)};
  void SetUp() override { loop.turn(false); }

  template <typename T>
  T finish(Task<T>& task) {
    while (!task.done()) loop.turn(true);
    return task.result();
  }
  template <typename T>
  T run(Task<T> task) {
    task.start();
    return finish(task);
  }
};

const std::string kReset = std::strerror(ECONNRESET);

TEST_F(SocketStreamTest, ReadsWhatComes) {
  Task<std::string> task = read_once(stream);
  task.start();
  loop.turn(false);
  EXPECT_FALSE(task.done());
  tcp.send_from_far("hello");
  EXPECT_EQ(finish(task), "hello");
}

TEST_F(SocketStreamTest, AcknowledgesAtOnceWhatMoreIsToFollow) {
  const auto acknowledges_at_once = [&] {
    int on = -1;
    socklen_t size = sizeof on;
    getsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, &size);
    return on == 1;
  };
  // The kernel takes it for a conversation, and delays its acknowledgements.
  for (int i = 0; i < 100 && acknowledges_at_once(); ++i) {
    tcp.send_from_far("head");
    EXPECT_EQ(run(read_once(stream)), "head");
    char answer[] = "answer";
    const iovec piece{answer, 6};
    EXPECT_TRUE(stream.try_write(std::span(&piece, 1)).ok());
  }
  ASSERT_FALSE(acknowledges_at_once());
  stream.expect_more();
  EXPECT_TRUE(acknowledges_at_once());
}

TEST_F(SocketStreamTest, FinBehindBytesIsFound) {
  tcp.send_from_far("bye");
  shutdown(tcp.far.get(), SHUT_WR);
  EXPECT_EQ(run(read_once(stream)), "bye");
  EXPECT_EQ(run(read_once(stream)), "closed");
}

TEST_F(SocketStreamTest, AResetEndsAWaitingRead) {
  Task<std::string> task = read_once(stream);
  task.start();
  tcp.reset_from_far();
  EXPECT_EQ(finish(task), kReset);
}

TEST_F(SocketStreamTest, AResetBehindBytesInOneEdgeIsFound) {
  Task<std::string> task = read_once(stream);
  task.start();
  tcp.send_from_far("half");
  tcp.reset_from_far();
  EXPECT_EQ(finish(task), "half");
  EXPECT_EQ(run(read_once(stream)), kReset);
}

TEST_F(SocketStreamTest, UntilClosedSeesFin) {
  Task<bool> task = closed_in_time(stream);
  task.start();
  shutdown(tcp.far.get(), SHUT_WR);
  EXPECT_TRUE(finish(task));
}

TEST_F(SocketStreamTest, UntilClosedSeesAReset) {
  Task<bool> task = closed_in_time(stream);
  task.start();
  tcp.reset_from_far();
  EXPECT_TRUE(finish(task));
  EXPECT_EQ(run(read_once(stream)), kReset);
}

TEST_F(SocketStreamTest, UntilClosedIsNotEndedByBytes) {
  Task<bool> task = closed(stream);
  task.start();
  tcp.send_from_far("pipelined");
  loop.turn(true);
  EXPECT_FALSE(task.done());
  tcp.reset_from_far();
  EXPECT_TRUE(finish(task));
}

}  // namespace
}  // namespace egret::net
