#include "proxy/queue/postgres_listener.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace egret::queue::pg {
namespace {

constexpr Sql kListen{"listen", "LISTEN egret_due"};
constexpr Duration kFirstPause = std::chrono::milliseconds(200);
constexpr Duration kLongestPause = std::chrono::seconds(10);
// News that come in a crowd are one.
constexpr Duration kTogether = std::chrono::milliseconds(2);

}  // namespace

Listener::Listener(std::function<Login()> login, Patience patience, std::function<void()> changed)
    : login_(std::move(login)), patience_(patience), changed_(std::move(changed)) {
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) throw std::runtime_error("eventfd");
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "egret-listen");
    run();
  });
}

Listener::~Listener() {
  stopping_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_, &one, sizeof one);
  thread_.join();
  close(wake_);
}

bool Listener::pause(Duration time) {
  pollfd each{.fd = wake_, .events = POLLIN, .revents = 0};
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(time);
  poll(&each, 1, static_cast<int>(wait.count()));
  return !stopping_;
}

void Listener::run() {
  Duration wait = kFirstPause;
  while (!stopping_) {
    const Result<std::unique_ptr<Connection>> opened = Connection::open(login_(), patience_);
    if (opened && (*opened)->ask(kListen)) {
      can_listen_ = true;
      wait = kFirstPause;
      changed_();  // what was missed meanwhile
      hear(**opened);
    }
    if (!pause(wait)) return;
    wait = std::min(2 * wait, kLongestPause);
  }
}

void Listener::hear(Connection& connection) {
  while (!stopping_ && connection.wait_for_news(wake_)) {
    if (connection.take_news(std::to_string(own_)) == 0) continue;
    if (!pause(kTogether)) return;
    changed_();
  }
}

}  // namespace egret::queue::pg
