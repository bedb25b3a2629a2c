#include "proxy/queue/client.h"

namespace egret::queue {
namespace {

template <typename T>
struct Pending {
  async::Event came;
  Result<T> value = Unexpected(Reason::queue_unavailable, "The queue has not answered.");
};

}  // namespace

template <typename T>
async::Task<Result<T>> Client::ask(std::function<Result<T>(Store&)> work, Queue::Turn turn) {
  auto pending = std::make_shared<Pending<T>>();
  queue_.submit(
      [pending, work = std::move(work)](Store& store) -> Result<> {
        pending->value = work(store);
        if (!pending->value) return Unexpected(pending->value.error());
        return {};
      },
      [pending, mailbox = mailbox_](Result<> kept) {
        // What is not kept is not said to be.
        if (!kept) pending->value = Unexpected(std::move(kept.error()));
        mailbox->post([pending] { pending->came.set(); });
      },
      turn);
  co_await pending->came.wait(kNever);
  co_return std::move(pending->value);
}

async::Task<Result<Accepted>> Client::accept(NewDelivery delivery) {
  auto pending = std::make_shared<Pending<Accepted>>();
  queue_.submit(std::move(delivery), [pending, mailbox = mailbox_](Result<Accepted> accepted) {
    pending->value = std::move(accepted);
    mailbox->post([pending] { pending->came.set(); });
  });
  co_await pending->came.wait(kNever);
  co_return std::move(pending->value);
}

async::Task<Result<std::optional<Accepted>>> Client::known(NewDelivery delivery) {
  std::function<Result<std::optional<Accepted>>(Store&)> work =
      [delivery = std::move(delivery)](Store& store) { return store.known(delivery); };
  return ask<std::optional<Accepted>>(std::move(work));
}

async::Task<Result<std::vector<Claimed>>> Client::claim(size_t most, uint64_t most_bytes) {
  std::function<Result<std::vector<Claimed>>(Store&)> work = [&queue = queue_, most,
                                                              most_bytes](Store& store) {
    return store.claim(most, most_bytes, queue.now());
  };
  return ask<std::vector<Claimed>>(std::move(work), Queue::Turn::last);
}

async::Task<Result<>> Client::settle(Settled settled) {
  std::function<Result<>(Store&)> work = [&queue = queue_, settled = std::move(settled)](
                                             Store& store) { return queue.settle(store, settled); };
  return ask<Unit>(std::move(work));
}

async::Task<Result<Page>> Client::list(Filter filter) {
  std::function<Result<Page>(Store&)> work = [filter = std::move(filter)](Store& store) {
    return store.list(filter);
  };
  return ask<Page>(std::move(work));
}

async::Task<Result<std::optional<Shown>>> Client::show(std::string id) {
  std::function<Result<std::optional<Shown>>(Store&)> work = [id = std::move(id)](Store& store) {
    return store.show(id);
  };
  return ask<std::optional<Shown>>(std::move(work));
}

async::Task<Result<std::optional<Content>>> Client::content(std::string id) {
  std::function<Result<std::optional<Content>>(Store&)> work = [id = std::move(id)](Store& store) {
    return store.content(id);
  };
  return ask<std::optional<Content>>(std::move(work));
}

async::Task<Result<std::optional<State>>> Client::replay(std::string id) {
  std::function<Result<std::optional<State>>(Store&)> work =
      [&queue = queue_, id = std::move(id)](Store& store) { return store.replay(id, queue.now()); };
  return ask<std::optional<State>>(std::move(work));
}

async::Task<Result<Replayed>> Client::replay_page(Filter filter) {
  std::function<Result<Replayed>(Store&)> work =
      [&queue = queue_, filter = std::move(filter)](Store& store) -> Result<Replayed> {
    Result<Page> page = store.list(filter);
    if (!page) return Unexpected(page.error());
    for (const Listed& each : page->deliveries) {
      const Result<std::optional<State>> done = store.replay(each.id, queue.now());
      if (!done) return Unexpected(done.error());
    }
    return Replayed{page->deliveries.size(), page->next};
  };
  return ask<Replayed>(std::move(work));
}

async::Task<Result<std::optional<State>>> Client::cancel(std::string id) {
  std::function<Result<std::optional<State>>(Store&)> work =
      [&queue = queue_, id = std::move(id)](Store& store) { return store.cancel(id, queue.now()); };
  return ask<std::optional<State>>(std::move(work));
}

async::Task<Result<std::vector<Endpoint>>> Client::endpoints() {
  std::function<Result<std::vector<Endpoint>>(Store&)> work = [](Store& store) {
    return store.endpoints();
  };
  return ask<std::vector<Endpoint>>(std::move(work));
}

async::Task<Result<bool>> Client::disable(std::string host, std::string why) {
  std::function<Result<bool>(Store&)> work = [&queue = queue_, host = std::move(host),
                                              why = std::move(why)](Store& store) {
    return store.disable(host, why, queue.now());
  };
  return ask<bool>(std::move(work));
}

async::Task<Result<bool>> Client::enable(std::string host) {
  std::function<Result<bool>(Store&)> work = [&queue = queue_,
                                              host = std::move(host)](Store& store) {
    return store.enable(host, queue.now());
  };
  return ask<bool>(std::move(work));
}

async::Task<Result<std::optional<std::string>>> Client::recall(std::string name) {
  std::function<Result<std::optional<std::string>>(Store&)> work =
      [&queue = queue_, name = std::move(name)](Store& store) {
        return store.recall(name, queue.now());
      };
  return ask<std::optional<std::string>>(std::move(work));
}

async::Task<Result<>> Client::remember(std::string name, std::string value, WallTime until) {
  std::function<Result<>(Store&)> work = [name = std::move(name), value = std::move(value),
                                          until](Store& store) {
    return store.remember(name, value, until);
  };
  return ask<Unit>(std::move(work));
}

}  // namespace egret::queue
