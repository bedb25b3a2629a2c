#include "proxy/worker.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <future>
#include <map>

#include "proxy/consent_desk.h"
#include "proxy/dispatcher.h"
#include "proxy/net/ares_resolver.h"
#include "proxy/net/dialer.h"
#include "proxy/net/happy_eyeballs.h"

namespace egret::proxy {
namespace {

constexpr Duration kDrainPoll = std::chrono::milliseconds(10);
constexpr Duration kTellExhaustedEvery = std::chrono::minutes(1);
constexpr size_t kMakeRoom = 32;        // idle connections that end each time descriptors run out
constexpr size_t kMostTurnedAway = 64;  // at once, over all listeners of a worker

// A resolver with its cache; replaced as one when the settings change.
struct ResolverStack {
  ResolverStack(async::Loop& loop, const config::Resolver& settings)
      : upstream(loop, {.servers = settings.servers,
                        .timeout = settings.timeout,
                        .tries = settings.tries,
                        .hosts_file = settings.hosts_file}),
        cache(upstream, {.entries = settings.cache_entries,
                         .min_ttl = settings.min_ttl,
                         .max_ttl = settings.max_ttl,
                         .negative_ttl = settings.negative_ttl}) {}
  net::AresResolver upstream;
  net::CachingResolver cache;
};

std::shared_ptr<net::CachingResolver> make_resolver(async::Loop& loop,
                                                    const config::Resolver& settings) {
  auto stack = std::make_shared<ResolverStack>(loop, settings);
  return {stack, &stack->cache};
}

uint64_t random_start() {
  uint64_t start = 0;
  [[maybe_unused]] const auto got = getrandom(&start, sizeof start, 0);
  return start;
}

}  // namespace

class Worker::Inside {
 public:
  Inside(Shared& shared, async::Loop& loop, Orders orders)
      : shared_(shared),
        loop_(loop),
        dialer_(loop),
        connector_(dialer_),
        buffers_(shared.buffer_memory),
        services_{.clock = shared.clock,
                  .resolver = make_resolver(loop, orders.settings->resolver),
                  .connector = connector_,
                  .pool = pool_,
                  .buffers = buffers_,
                  .destinations = shared.destinations,
                  .metrics = metrics_,
                  .access_log = {},
                  .pseudonym = shared.pseudonym,
                  .policy = nullptr,
                  .next_request_id = random_start(),
                  .dice = std::mt19937_64(random_start())},
        sessions_(metrics_),
        consent_desk_(services_, shared.consents, [this](std::exception_ptr bug) { tell(bug); }),
        tasks_([this](std::exception_ptr bug) { tell(bug); }) {
    services_.consent = &consent_desk_;
    apply(std::move(orders));
    if (shared.queue != nullptr) begin_to_deliver(*shared.queue);
  }

  void apply(Orders orders) {
    // What can fail comes first.
    auto policy = std::make_shared<const Policy>(orders.settings, std::move(orders.own),
                                                 shared_.labels, orders.tls);
    if (services_.policy && services_.policy->settings->resolver != orders.settings->resolver) {
      services_.resolver = make_resolver(loop_, orders.settings->resolver);
    }
    // Counters never go back; those of the authority that ends are taken over.
    if (services_.policy) report();
    leafs_minted_before_ = metrics_.leafs_minted;
    leafs_reused_before_ = metrics_.leafs_reused;
    services_.policy = std::move(policy);
    services_.access_log = std::move(orders.access_log);
    pool_.clear();
    for (const std::string& name : orders.stop_listening) accepting_.erase(name);
    for (WorkerListener& listener : orders.listen) {
      auto acceptor = std::make_unique<Accepting>(loop_, std::move(listener),
                                                  [this, label = listener.info->label](int error) {
                                                    // Who only waits makes room for who may ask.
                                                    sessions_.end_longest_idle(label, kMakeRoom);
                                                    tell_exhausted(error);
                                                  });
      Accepting& accepting = *acceptor;
      accepting_[accepting.info->name] = std::move(acceptor);
      accepting.task.spawn(accept(accepting));
    }
  }

  void drain(std::function<void()> drained) {
    services_.draining = true;
    if (dispatcher_) dispatcher_->drain();
    accepting_.clear();
    sessions_.wake_idle();
    tasks_.spawn(until_drained(std::move(drained)));
  }

  Metrics report() {
    metrics_.upstream_idle = pool_.size();
    metrics_.dns_cache_entries = services_.resolver->size();
    metrics_.dns_cache_hits = services_.resolver->hits();
    metrics_.dns_cache_misses = services_.resolver->misses();
    if (const ReadyInterception* interception = services_.policy->ways.interception()) {
      metrics_.leafs_minted = leafs_minted_before_ + interception->authority->minted();
      metrics_.leafs_reused = leafs_reused_before_ + interception->authority->cached();
    }
    metrics_.buffers_lent = buffers_.lent();
    metrics_.buffer_bytes = buffers_.lent_bytes();
    for (const auto& [name, accepting] : accepting_) {
      metrics_.accept_failures[accepting->info->label] = accepting->acceptor.exhausted();
    }
    return metrics_;
  }

 private:
  struct Accepting {
    Accepting(async::Loop& loop, WorkerListener listener, net::Acceptor::Exhausted exhausted)
        : info(std::move(listener.info)),
          acceptor(loop, std::move(listener.socket), std::move(exhausted)) {}
    std::shared_ptr<ListenerInfo> info;
    net::Acceptor acceptor;
    async::TaskSet task;
  };

  void begin_to_deliver(queue::Queue& queue) {
    mailbox_.emplace(std::make_shared<async::Mailbox>(loop_));
    client_.emplace(queue, mailbox_->shared());
    services_.queue = &*client_;
    auto info = std::make_shared<ListenerInfo>();
    info->name = "queue";
    info->label = shared_.labels.intern(info->name);
    dispatcher_ = std::make_unique<Dispatcher>(services_, *client_, std::move(info),
                                               [this](std::exception_ptr bug) { tell(bug); });
  }

  async::Task<void> accept(Accepting& accepting) {
    while (true) {
      net::Accepted accepted = co_await accepting.acceptor.accept();
      try {
        take(accepting, std::move(accepted));
      } catch (...) {
        tell(std::current_exception());  // out of memory or watches: this one is lost, the next not
      }
    }
  }

  void take(Accepting& accepting, net::Accepted accepted) {
    auto stream = std::make_unique<net::SocketStream>(loop_, std::move(accepted.fd));
    std::optional<ConnectionSlot> slot = sessions_.place_for_one_more(accepting.info);
    std::optional<policy::Address> address;
    if (accepted.peer) address = accepted.peer->address;
    if (slot) {
      tasks_.spawn(serve(services_, sessions_, std::move(*slot), std::move(stream), accepting.info,
                         address));
    } else if (turned_away_ < kMostTurnedAway) {
      tasks_.spawn(turn_away_counted(std::move(stream), accepting.info));
    }
    // Else it is closed at once: being told why has its price, and that has a limit too.
  }

  async::Task<void> turn_away_counted(std::unique_ptr<net::Stream> stream,
                                      std::shared_ptr<ListenerInfo> info) {
    struct Counted {
      explicit Counted(size_t& in) : count(in) { ++count; }
      ~Counted() { --count; }
      Counted(const Counted&) = delete;
      Counted& operator=(const Counted&) = delete;
      size_t& count;
    };
    const Counted counted(turned_away_);
    co_await turn_away(services_, std::move(stream), std::move(info));
  }

  async::Task<void> until_drained(std::function<void()> drained) {
    while (tasks_.size() > 1 || (dispatcher_ && !dispatcher_->at_rest())) {  // this one is left
      const Deadline next = deadline_after(async::Scheduler::current().now(), kDrainPoll);
      co_await async::sleep_until(next);
    }
    drained();
  }

  // Often, or once a minute: what an operator reads must stay readable.
  void tell_exhausted(int error) {
    const TimePoint now = async::Scheduler::current().now();
    if (now < tell_exhausted_again_) return;
    tell_exhausted_again_ = deadline_after(now, kTellExhaustedEvery);
    const bool files = error == EMFILE || error == ENFILE;
    shared_.event(config::LogLevel::error,
                  std::string("new connections wait: accept: ") + std::strerror(error) +
                      (files ? "; raise the limit of open files (LimitNOFILE, ulimit -Hn)" : ""));
  }

  void tell(std::exception_ptr bug) {
    try {
      std::rethrow_exception(bug);
    } catch (const std::exception& error) {
      shared_.event(config::LogLevel::error,
                    std::string("a connection ended by a bug: ") + error.what());
    } catch (...) {
      shared_.event(config::LogLevel::error, "a connection ended by a bug");
    }
  }

  Shared& shared_;
  async::Loop& loop_;
  net::SystemDialer dialer_;
  net::HappyEyeballs connector_;
  UpstreamPool pool_;
  BufferPool buffers_;
  Metrics metrics_;
  Services services_;
  Sessions sessions_;
  std::map<std::string, std::unique_ptr<Accepting>> accepting_;
  TimePoint tell_exhausted_again_ = TimePoint::min();
  uint64_t leafs_minted_before_ = 0;  // by authorities of earlier settings
  uint64_t leafs_reused_before_ = 0;
  size_t turned_away_ = 0;  // connections that are being told so
  std::optional<async::MailboxOwner> mailbox_;
  std::optional<queue::Client> client_;
  ConsentDesk consent_desk_;
  std::unique_ptr<Dispatcher> dispatcher_;
  async::TaskSet tasks_;  // cancelled first: everything above outlives it
};

Worker::Worker(Shared& shared, uint32_t index, Orders orders) {
  std::promise<void> started;
  thread_ = std::thread([&] {
    pthread_setname_np(pthread_self(), ("egret-" + std::to_string(index)).c_str());
    std::unique_ptr<async::Loop> loop;
    std::unique_ptr<Inside> inside;
    try {
      loop = std::make_unique<async::Loop>(shared.clock);
      inside = std::make_unique<Inside>(shared, *loop, std::move(orders));
    } catch (...) {
      started.set_exception(std::current_exception());
      return;
    }
    loop_ = loop.get();
    inside_ = inside.get();
    async::Loop& running = *loop;
    started.set_value();
    running.run();
  });
  try {
    started.get_future().get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

Worker::~Worker() {
  loop_->stop();
  thread_.join();
}

void Worker::apply(Orders orders) {
  std::promise<void> applied;
  loop_->post_from_anywhere([&] {
    try {
      inside_->apply(std::move(orders));
      applied.set_value();
    } catch (...) {
      applied.set_exception(std::current_exception());
    }
  });
  applied.get_future().get();
}

void Worker::drain(std::function<void()> drained) {
  loop_->post_from_anywhere(
      [this, drained = std::move(drained)]() mutable { inside_->drain(std::move(drained)); });
}

void Worker::report(std::function<void(Metrics)> take) {
  loop_->post_from_anywhere([this, take = std::move(take)] { take(inside_->report()); });
}

}  // namespace egret::proxy
