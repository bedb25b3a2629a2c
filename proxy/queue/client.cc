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
  struct Keeping : Queue::Acceptance {
    async::Event came;
  };
  auto keeping = std::make_shared<Keeping>();
  keeping->delivery = std::move(delivery);
  queue_.submit(keeping, [keeping, mailbox = mailbox_](const Result<>& /*said there*/) {
    mailbox->post([keeping] { keeping->came.set(); });
  });
  co_await keeping->came.wait(kNever);
  co_return std::move(keeping->accepted);
}

async::Task<Result<std::optional<Accepted>>> Client::known(NewDelivery delivery) {
  std::function<Result<std::optional<Accepted>>(Store&)> work =
      [delivery = std::move(delivery)](Store& store) { return store.known(delivery); };
  return ask<std::optional<Accepted>>(std::move(work));
}

async::Task<Result<>> Client::settle(Settled settled) {
  std::function<Result<>(Store&)> work = [&queue = queue_, settled = std::move(settled)](
                                             Store& store) { return queue.settle(store, settled); };
  return ask<Unit>(std::move(work));
}

Queue::Work Client::settling(std::shared_ptr<const std::vector<Settled>> settled) {
  return [&queue = queue_, settled = std::move(settled)](Store& store) -> Result<> {
    for (const Settled& each : *settled) {
      Result<> done = queue.settle(store, each);
      if (!done) return done;
    }
    return {};
  };
}

void Client::leave(std::vector<Settled> settled) {
  if (settled.empty()) return;
  queue_.submit(settling(std::make_shared<const std::vector<Settled>>(std::move(settled))),
                [](const Result<>& /*nobody waits*/) {});
}

async::Task<TurnedOver> Client::turn_over(std::shared_ptr<const std::vector<Settled>> settled,
                                          Wanted wanted) {
  struct Both {
    async::Event came;
    int left = 2;
    TurnedOver outcome{.settled = {}, .claimed = std::vector<Claimed>()};
  };
  auto both = std::make_shared<Both>();
  const bool claims = wanted.most > 0;
  const auto tell = [both, mailbox = mailbox_] {
    mailbox->post([both] {
      if (--both->left == 0) both->came.set();
    });
  };
  Queue::Work settle = settling(settled);
  Queue::Done on_settled = [both, tell](Result<> kept) {
    both->outcome.settled = std::move(kept);
    tell();
  };
  Queue::Work claim = [&queue = queue_, both,
                       wanted = std::move(wanted)](Store& store) -> Result<> {
    both->outcome.claimed = store.claim(wanted, queue.now());
    if (!both->outcome.claimed) return Unexpected(both->outcome.claimed.error());
    return {};
  };
  Queue::Done on_claimed = [both, tell](Result<> kept) {
    if (!kept) both->outcome.claimed = Unexpected(std::move(kept.error()));
    tell();
  };
  if (settled->empty() || !claims) both->left = 1;
  if (settled->empty()) {
    queue_.submit(std::move(claim), std::move(on_claimed), Queue::Turn::last);
  } else if (!claims) {
    queue_.submit(std::move(settle), std::move(on_settled));
  } else {
    queue_.submit(std::move(settle), std::move(on_settled), std::move(claim),
                  std::move(on_claimed));
  }
  co_await both->came.wait(kNever);
  co_return std::move(both->outcome);
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
    return queue.disable(store, host, why);
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
