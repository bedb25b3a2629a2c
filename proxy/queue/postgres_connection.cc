#include "proxy/queue/postgres_connection.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace egret::queue::pg {
namespace {

TimePoint now() { return SystemClock().now(); }

// Milliseconds for poll(2), rounded up.
int left_until(Deadline deadline) {
  const Duration left = std::max(Duration::zero(), deadline - now());
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

// False: the time is over.
bool wait_for(int socket, short events, Deadline deadline) {
  while (true) {
    pollfd each{.fd = socket, .events = events, .revents = 0};
    const int ready = poll(&each, 1, left_until(deadline));
    if (ready > 0) return true;
    if (ready == 0 && now() >= deadline) return false;
    if (ready < 0 && errno != EINTR) return false;
  }
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> all;
  size_t start = 0;
  while (true) {
    const size_t comma = list.find(',', start);
    all.push_back(list.substr(start, comma - start));
    if (comma == std::string::npos) return all;
    start = comma + 1;
  }
}

struct Options {
  std::vector<std::string> keys, values;
  void set(const std::string& key, const std::string& value) {
    const auto found = std::find(keys.begin(), keys.end(), key);
    if (found != keys.end()) {
      values[static_cast<size_t>(found - keys.begin())] = value;
      return;
    }
    keys.push_back(key);
    values.push_back(value);
  }
  [[nodiscard]] std::string get(const std::string& key) const {
    const auto found = std::find(keys.begin(), keys.end(), key);
    return found == keys.end() ? std::string() : values[static_cast<size_t>(found - keys.begin())];
  }
};

// What the URI says, over what Egret prefers. Kerberos is asked for by those who have it: its
// library reads files and runs code of its own.
Result<Options> options_of(const Login& login) {
  Options options;
  options.set("application_name", "egret");
  options.set("gssencmode", "disable");
  options.set("client_encoding", "UTF8");
  options.set("keepalives_idle", "10");
  options.set("keepalives_interval", "5");
  options.set("keepalives_count", "3");
  char* error = nullptr;
  PQconninfoOption* parsed = PQconninfoParse(login.uri.c_str(), &error);
  if (parsed == nullptr) {
    Failure failure = postgres_failure(error != nullptr ? error : "libpq has no memory");
    PQfreemem(error);
    return Unexpected(std::move(failure));
  }
  for (const PQconninfoOption* each = parsed; each->keyword != nullptr; ++each) {
    if (each->val != nullptr) options.set(each->keyword, each->val);
  }
  PQconninfoFree(parsed);
  if (!login.password.empty()) options.set("password", std::string(login.password.reveal()));
  return options;
}

PGconn* begin_connecting(const Options& options) {
  std::vector<const char*> keys, values;
  for (size_t i = 0; i < options.keys.size(); ++i) {
    keys.push_back(options.keys[i].c_str());
    values.push_back(options.values[i].c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  return PQconnectStartParams(keys.data(), values.data(), 0);
}

// One for each host of a list: libpq has one deadline for all when it does not block.
std::vector<Options> one_a_host(const Options& options) {
  std::vector<Options> all;
  const std::vector<std::string> hosts = split(options.get("host"));
  const std::vector<std::string> addresses = split(options.get("hostaddr"));
  const std::vector<std::string> ports = split(options.get("port"));
  const size_t count = std::max(hosts.size(), addresses.size());
  for (size_t i = 0; i < count; ++i) {
    Options one = options;
    if (!options.get("host").empty() && i < hosts.size()) one.set("host", hosts[i]);
    if (!options.get("hostaddr").empty() && i < addresses.size()) {
      one.set("hostaddr", addresses[i]);
    }
    if (!options.get("port").empty()) one.set("port", ports[std::min(i, ports.size() - 1)]);
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace

Failure postgres_failure(const std::string& message) {
  std::string line = message.substr(0, message.find('\n'));
  for (const std::string_view mark : {"ERROR:  ", "FATAL:  "}) {
    const size_t at = line.find(mark);
    if (at == 0) line.erase(0, mark.size());
  }
  if (line.empty()) line = "it says nothing";
  return {Reason::queue_unavailable, "The queue's store: PostgreSQL: " + line + "."};
}

Result<> Connection::dial(PGconn* handle, const Patience& patience) {
  const Deadline deadline = deadline_after(now(), patience.connect);
  PostgresPollingStatusType status = PGRES_POLLING_WRITING;
  while (PQstatus(handle) != CONNECTION_BAD && status != PGRES_POLLING_OK) {
    if (status == PGRES_POLLING_FAILED) break;
    const short events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (!wait_for(PQsocket(handle), events, deadline)) {
      return Unexpected(postgres_failure(std::string("no answer from ") + PQhost(handle)));
    }
    status = PQconnectPoll(handle);
  }
  if (PQstatus(handle) == CONNECTION_OK) return {};
  return Unexpected(postgres_failure(PQerrorMessage(handle)));
}

Result<std::unique_ptr<Connection>> Connection::open(const Login& login, const Patience& patience) {
  const Result<Options> options = options_of(login);
  if (!options) return Unexpected(options.error());
  Result<std::unique_ptr<Connection>> last = Unexpected(Reason::queue_unavailable);
  for (const Options& each : one_a_host(*options)) {
    std::unique_ptr<PGconn, Close> handle(begin_connecting(each));
    if (!handle) return Unexpected(postgres_failure("libpq has no memory"));
    const Result<> dialled = dial(handle.get(), patience);
    if (!dialled) {
      last = Unexpected(dialled.error());
      continue;
    }
    PQsetNoticeProcessor(
        handle.get(), [](void*, const char*) {}, nullptr);
    if (PQsetnonblocking(handle.get(), 1) != 0 || PQenterPipelineMode(handle.get()) != 1) {
      return Unexpected(postgres_failure(PQerrorMessage(handle.get())));
    }
    return std::unique_ptr<Connection>(new Connection(handle.release(), patience));
  }
  return last;
}

void Connection::add(const Sql& sql, Values values) {
  waiting_.push_back({&sql, std::move(values)});
}

Unexpected Connection::lost(const std::string& what) {
  broken_ = true;
  code_.clear();
  return Unexpected(postgres_failure(what));
}

Failure Connection::failed(const PGresult* result) {
  const char* code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  code_ = code != nullptr ? code : "";
  // Read-only: it is no longer the primary, and another host of the URI may be. 57P: it shuts down.
  broken_ = code_.empty() || code_ == "25006" || code_.starts_with("57P");
  return postgres_failure(message != nullptr ? message : PQresultErrorMessage(result));
}

bool Connection::send(std::vector<Sent>& sent) {
  std::set<const char*> preparing;
  for (Waiting& each : waiting_) {
    const char* name = each.sql->name;
    if (!prepared_.contains(name) && preparing.insert(name).second) {
      if (PQsendPrepare(handle_.get(), name, each.sql->text, each.values.count(),
                        each.values.types()) != 1) {
        return false;
      }
      sent.push_back({each.sql, true});
    }
    if (PQsendQueryPrepared(handle_.get(), name, each.values.count(), each.values.pointers(),
                            each.values.lengths(), each.values.formats(), 1) != 1) {
      return false;
    }
    sent.push_back({each.sql, false});
  }
  return PQpipelineSync(handle_.get()) == 1;
}

Result<PGresult*> Connection::next(Deadline deadline) {
  while (true) {
    const int unsent = PQflush(handle_.get());
    if (unsent < 0) return lost(PQerrorMessage(handle_.get()));
    if (PQisBusy(handle_.get()) == 0) return PQgetResult(handle_.get());
    const auto events = static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN);
    if (!wait_for(PQsocket(handle_.get()), events, deadline)) {
      timed_out_ = true;
      return lost("it has not answered");
    }
    if (PQconsumeInput(handle_.get()) != 1) return lost(PQerrorMessage(handle_.get()));
  }
}

Result<> Connection::receive(const std::vector<Sent>& sent, std::vector<Answer>& answers) {
  const Deadline deadline = deadline_after(now(), patience_.answer);
  std::optional<Failure> failure;
  size_t index = 0;
  while (true) {
    const Result<PGresult*> taken = next(deadline);
    if (!taken) return Unexpected(failure ? *failure : taken.error());
    if (*taken == nullptr) {
      if (PQstatus(handle_.get()) == CONNECTION_BAD) return lost(PQerrorMessage(handle_.get()));
      continue;
    }
    Answer answer(*taken);
    const ExecStatusType status = PQresultStatus(*taken);
    if (status == PGRES_PIPELINE_SYNC) break;
    if (status == PGRES_FATAL_ERROR) {
      if (!failure) failure = failed(*taken);
      if (PQstatus(handle_.get()) == CONNECTION_BAD) broken_ = true;
      if (broken_) return Unexpected(*failure);
    }
    if (index >= sent.size()) return lost("it answers more than it was asked");
    const Sent& of = sent[index++];
    const bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (of.preparing && good) prepared_.insert(of.sql->name);
    if (!of.preparing && good) answers.push_back(std::move(answer));
  }
  if (failure) return Unexpected(*failure);
  return {};
}

Result<std::vector<Answer>> Connection::run() {
  std::vector<Answer> answers;
  if (waiting_.empty()) return answers;
  if (broken_) {
    waiting_.clear();
    return Unexpected(postgres_failure("the connection is broken"));
  }
  std::vector<Sent> sent;
  const bool queued = send(sent);
  waiting_.clear();
  if (!queued) return lost(PQerrorMessage(handle_.get()));
  Result<> received = receive(sent, answers);
  if (!received) return Unexpected(std::move(received.error()));
  return answers;
}

Result<Answer> Connection::ask(const Sql& sql, Values values) {
  add(sql, std::move(values));
  Result<std::vector<Answer>> answers = run();
  if (!answers) return Unexpected(std::move(answers.error()));
  return std::move(answers->back());
}

bool Connection::wait_for_news(int wake) {
  std::array<pollfd, 2> both{{{.fd = PQsocket(handle_.get()), .events = POLLIN, .revents = 0},
                              {.fd = wake, .events = POLLIN, .revents = 0}}};
  const int ready = poll(both.data(), both.size(), -1);
  if (ready < 0) return errno == EINTR;
  if (both[0].revents == 0) return true;
  if (PQconsumeInput(handle_.get()) == 1) return true;
  broken_ = true;
  return false;
}

int Connection::take_news(const std::string& own) {
  int count = 0;
  while (PGnotify* news = PQnotifies(handle_.get())) {
    if (own != news->extra) ++count;
    PQfreemem(news);
  }
  return count;
}

}  // namespace egret::queue::pg
