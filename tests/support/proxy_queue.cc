#include "tests/support/proxy_queue.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <stdexcept>
#include <utility>

namespace egret::test {

// The store, or one whose disk is full.
class KeepingSandbox::Breakable final : public queue::Store {
 public:
  explicit Breakable(std::unique_ptr<queue::Store> store) : store_(std::move(store)) {}
  bool broken = false;
  std::vector<queue::Settled> all_settled;

  Result<> begin() override {
    if (broken) return Unexpected(Reason::queue_unavailable, "no space is left");
    return store_->begin();
  }
  Result<> commit() override { return store_->commit(); }
  void rollback() override {
    if (!broken) store_->rollback();
  }
  Result<queue::Accepted> accept(const queue::NewDelivery& delivery,
                                 const queue::Bounds& bounds) override {
    return store_->accept(delivery, bounds);
  }
  Result<std::optional<queue::Accepted>> known(const queue::NewDelivery& delivery) override {
    return store_->known(delivery);
  }
  Result<std::vector<queue::Claimed>> claim(const queue::Wanted& wanted, WallTime now) override {
    return store_->claim(wanted, now);
  }
  Result<std::optional<WallTime>> next_due() override { return store_->next_due(); }
  Result<> settle(const queue::Settled& settled, WallTime now) override {
    all_settled.push_back(settled);
    return store_->settle(settled, now);
  }
  Result<queue::Page> list(const queue::Filter& filter) override { return store_->list(filter); }
  Result<std::optional<queue::Shown>> show(const std::string& id) override {
    return store_->show(id);
  }
  Result<std::optional<queue::Content>> content(const std::string& id) override {
    return store_->content(id);
  }
  Result<std::optional<queue::State>> replay(const std::string& id, WallTime now) override {
    return store_->replay(id, now);
  }
  Result<std::optional<queue::State>> cancel(const std::string& id, WallTime now) override {
    return store_->cancel(id, now);
  }
  Result<std::vector<queue::Endpoint>> endpoints() override { return store_->endpoints(); }
  Result<bool> disable(const std::string& host, const std::string& why, WallTime now) override {
    return store_->disable(host, why, now);
  }
  Result<bool> enable(const std::string& host, WallTime now) override {
    return store_->enable(host, now);
  }
  Result<std::optional<std::string>> recall(const std::string& name, WallTime now) override {
    return store_->recall(name, now);
  }
  Result<> remember(const std::string& name, const std::string& value, WallTime until) override {
    return store_->remember(name, value, until);
  }
  Result<queue::Stats> stats() override { return store_->stats(); }
  Result<bool> sweep(const queue::Bounds& bounds, WallTime now) override {
    return store_->sweep(bounds, now);
  }

 private:
  std::unique_ptr<queue::Store> store_;
};

KeepingSandbox::KeepingSandbox(std::string_view yaml, queue::Bounds bounds)
    : Sandbox("queue: {store: \"sqlite:elsewhere\"}\n" + std::string(yaml)) {
  char folder[] = "/tmp/egret-queue-XXXXXX";
  if (mkdtemp(folder) == nullptr) throw std::runtime_error("no folder");
  folder_ = folder;
  Result<std::unique_ptr<queue::Store>> store =
      queue::open_sqlite_store(folder_ + "/queue.db", loop.clock().wall());
  if (!store) throw std::runtime_error(store.error().detail);
  auto breakable = std::make_unique<Breakable>(std::move(*store));
  store_ = breakable.get();
  queue_ = std::make_unique<queue::Queue>(std::move(breakable), bounds, loop.clock());
  mailbox_ = std::make_unique<async::MailboxOwner>(std::make_shared<async::Mailbox>(
      [this](std::function<void()> work) { posted_.push_back(std::move(work)); }));
  client_ = std::make_unique<queue::Client>(*queue_, mailbox_->shared());
  services.queue = client_.get();
  start_dispatcher();
  settle();
}

KeepingSandbox::~KeepingSandbox() {
  stop();
  dispatcher_.reset();
  services.queue = nullptr;
  store_->broken = false;
  queue_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void KeepingSandbox::stop_dispatcher() { dispatcher_.reset(); }

void KeepingSandbox::start_dispatcher() {
  auto info = std::make_shared<proxy::ListenerInfo>();
  info->name = "queue";
  info->label = labels.intern("queue");
  const auto fail = [this](std::exception_ptr bug) {
    ++bugs_;
    if (bugs_expected_) return;
    try {
      std::rethrow_exception(bug);
    } catch (const std::exception& error) {
      ADD_FAILURE() << "a delivery ended by a bug: " << error.what();
    }
  };
  dispatcher_ = std::make_unique<proxy::Dispatcher>(services, *client_, std::move(info), fail);
}

void KeepingSandbox::break_store(bool broken) { store_->broken = broken; }

void KeepingSandbox::settle() {
  bool more = true;
  while (more) {
    loop.run_until_idle();
    more = queue_->turn();
    const std::vector<std::function<void()>> posted = std::exchange(posted_, {});
    for (const auto& work : posted) work();
    more |= !posted.empty();
  }
}

void KeepingSandbox::advance(Duration by) {
  loop.advance(by);
  settle();
}

Message KeepingSandbox::answer(FarEnd& sender) {
  settle();
  return sender.take(Kind::answer);
}

Message KeepingSandbox::request(size_t index) {
  settle();
  return destination(index).take(Kind::request);
}

Message KeepingSandbox::sent(std::string_view request) {
  FarEnd sender = connect();
  sender.send(request);
  Message got = answer(sender);
  sender.close();
  settle();
  return got;
}

const std::vector<queue::Settled>& KeepingSandbox::settled() const { return store_->all_settled; }

void KeepingSandbox::disable(const std::string& host) {
  queue_->submit(
      [&](queue::Store& store) -> Result<> {
        const Result<bool> done = queue_->disable(store, host, "a test");
        if (!done) return Unexpected(done.error());
        return {};
      },
      [](const Result<>&) {});
  settle();
}

std::optional<queue::Shown> KeepingSandbox::show(const std::string& id) {
  std::optional<queue::Shown> shown;
  bool came = false;
  queue_->submit(
      [&](queue::Store& store) -> Result<> {
        Result<std::optional<queue::Shown>> found = store.show(id);
        if (!found) return Unexpected(found.error());
        shown = std::move(*found);
        return {};
      },
      [&came](const Result<>&) { came = true; });
  while (!came) queue_->turn();
  return shown;
}

}  // namespace egret::test
