#pragma once

#include <gtest/gtest.h>

#include <array>
#include <ostream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "proxy/async/task.h"
#include "proxy/net/stream.h"
#include "tests/support/manual_loop.h"
#include "tests/support/memory_stream.h"

namespace egret::net {
using async::Task;
using test::ManualLoop;
using test::MemoryStream;
using test::ScriptedConnection;

struct Got {
  Io io;
  std::string bytes;
  bool operator==(std::string_view text) const { return io.ok() && bytes == text; }
};
inline std::ostream& operator<<(std::ostream& out, const Got& got) {
  return out << "status " << static_cast<int>(got.io.status) << " '" << got.bytes << "'";
}

inline Task<Got> read(Stream& stream, size_t most, Deadline deadline) {
  std::string bytes(most, '\0');
  const std::span<char> buffer(bytes);
  const Io io = co_await stream.read_some(buffer, deadline);
  bytes.resize(io.bytes);
  co_return Got{io, bytes};
}

inline Task<Io> write(Stream& stream, std::string first, std::string second, Deadline deadline) {
  std::array<iovec, 3> all{iovec{first.data(), first.size()}, iovec{nullptr, 0},
                           iovec{second.data(), second.size()}};
  const std::span<iovec> pieces(all);
  const Io io = co_await stream.write_all(pieces, deadline);
  co_return io;
}

inline Task<bool> wait_readable(Stream& stream, Deadline deadline) {
  const bool came = co_await stream.readable(deadline);
  co_return came;
}

inline Task<bool> wait_closed(Stream& stream) {
  co_await stream.until_closed();
  co_return true;
}

struct StreamTest : testing::Test {
  StreamTest() { loop.run_until_idle(); }
  ManualLoop loop;
  ScriptedConnection made = test::make_scripted_connection();
  MemoryStream& stream = *made.stream;
  test::ScriptedPeer& peer = made.peer;

  // Runs what can run now, without letting time pass.
  template <typename T>
  T now(Task<T> task) {
    task.start();
    loop.run_until_idle();
    if (!task.done()) throw std::logic_error("still waiting");
    return task.result();
  }
  template <typename T>
  bool ends(Task<T>& task) {
    loop.run_until_idle();
    return task.done();
  }
};

}  // namespace egret::net
