#pragma once

#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/queue/temp_folder.h"

namespace egret::queue {

using Rows = std::vector<std::string>;

// A PostgreSQL server of the test's own: in a temporary folder, on a Unix socket only. Debian's
// package; when it is not there the test fails.
class PostgresServer {
 public:
  // Starts it. `settings`: lines of postgresql.conf.
  explicit PostgresServer(const std::string& settings = "fsync = off\n");
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  // One for the whole program.
  static PostgresServer& shared();

  void start();
  // SIGTERM, SIGINT, SIGQUIT: smart, fast, immediate shutdown. Waits for its end.
  void stop(int signal);
  // To every process of it: SIGSTOP, SIGCONT.
  void signal_all(int signal) const;

  [[nodiscard]] std::string socket_folder() const { return folder_.file(""); }
  [[nodiscard]] std::string socket() const { return folder_.file(".s.PGSQL.5432"); }
  // Of a schema, which is made when there is none; of another socket's folder.
  [[nodiscard]] std::string uri(const std::string& schema, const std::string& folder = {}) const;
  // A name that no other test has, of a schema that is there.
  std::string new_schema();
  // As the superuser: a string a row, its columns joined by commas.
  [[nodiscard]] Rows rows(const std::string& schema, const std::string& sql) const;
  // The same, failures included: what PostgreSQL says.
  [[nodiscard]] std::string run(const std::string& schema, const std::string& sql) const;

 private:
  [[nodiscard]] pid_t spawn(const std::vector<std::string>& words) const;
  TempFolder folder_;
  pid_t server_ = -1;
  int schemas_ = 0;
};

}  // namespace egret::queue
