#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "proxy/queue/postgres_values.h"

namespace egret::queue::pg {

// How long PostgreSQL may take.
struct Patience {
  Duration connect = std::chrono::seconds(5);  // each host of the URI
  Duration answer = std::chrono::seconds(10);  // to all that was sent together
};

// Where, and as whom. `password`: empty for libpq's own ways (passfile, ~/.pgpass).
struct Login {
  std::string uri;
  Secret password;
};

// One connection. Statements are sent together (libpq's pipeline) and answered together, so that a
// round trip is paid once. It never waits longer than its patience: a server that does not answer
// in time is hung up on, and the connection is broken for good.
//   One thread. Errors of all: queue_unavailable, with what PostgreSQL says.
class Connection {
 public:
  static Result<std::unique_ptr<Connection>> open(const Login& login, const Patience& patience);

  // Sends nothing yet.
  void add(const Sql& sql, Values values = Values());
  // Sends what was added; an answer each. Of a failure nothing after it was done, and outside of a
  // transaction nothing at all.
  Result<std::vector<Answer>> run();
  // The same for one alone, after what was added before.
  Result<Answer> ask(const Sql& sql, Values values = Values());
  // What was added and not run is forgotten.
  void forget() { waiting_.clear(); }

  // It cannot be used any more.
  [[nodiscard]] bool broken() const { return broken_; }
  // Since it has not answered in time.
  [[nodiscard]] bool timed_out() const { return timed_out_; }
  // The SQLSTATE of the last failure; empty: PostgreSQL did not say, as when it has gone.
  [[nodiscard]] const std::string& code() const { return code_; }

  // For a listener: waits for a notification or until `wake` is readable. False: broken.
  bool wait_for_news(int wake);
  // Takes the notifications that have come; how many were not of `own`.
  int take_news(const std::string& own);

 private:
  struct Close {
    void operator()(PGconn* handle) const { PQfinish(handle); }
  };
  struct Waiting {
    const Sql* sql;
    Values values;
  };
  struct Sent {
    const Sql* sql;
    bool preparing;
  };
  static Result<> dial(PGconn* handle, const Patience& patience);
  explicit Connection(PGconn* handle, const Patience& patience)
      : handle_(handle), patience_(patience) {}
  bool send(std::vector<Sent>& sent);
  Result<> receive(const std::vector<Sent>& sent, std::vector<Answer>& answers);
  // The next result, null at the end of a statement's.
  Result<PGresult*> next(Deadline deadline);
  Unexpected lost(const std::string& what);
  Failure failed(const PGresult* result);

  std::unique_ptr<PGconn, Close> handle_;
  Patience patience_;
  std::vector<Waiting> waiting_;
  std::set<const char*> prepared_;
  bool broken_ = false;
  bool timed_out_ = false;
  std::string code_;
};

// What PostgreSQL or libpq says, for an operator: its first line.
Failure postgres_failure(const std::string& message);

}  // namespace egret::queue::pg
