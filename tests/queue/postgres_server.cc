#include "tests/queue/postgres_server.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

namespace egret::queue {
namespace {

// The newest that Debian has put there.
std::string program(const std::string& name) {
  std::string newest;
  std::error_code none;
  for (const auto& each : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
    const std::string path = each.path().string() + "/bin/" + name;
    if (std::filesystem::exists(path) && path > newest) newest = path;
  }
  if (newest.empty()) throw std::runtime_error(name + " is not installed: postgresql");
  return newest;
}

// PostgreSQL does not run as root.
const passwd* other_user() {
  if (geteuid() != 0) return nullptr;
  const passwd* user = getpwnam("postgres");
  if (user == nullptr) throw std::runtime_error("there is no user postgres");
  return user;
}

int wait_for(pid_t process) {
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

PostgresServer::PostgresServer(const std::string& settings) {
  if (const passwd* user = other_user(); user != nullptr) {
    if (chown(folder_.path().c_str(), user->pw_uid, user->pw_gid) != 0) {
      throw std::runtime_error("chown");
    }
  }
  const int made =
      wait_for(spawn({program("initdb"), "--no-sync", "--auth=trust", "--encoding=UTF8",
                      "--locale=C", "--username=egret", "-D", folder_.file("data")}));
  if (made != 0) throw std::runtime_error("initdb: see " + folder_.file("log"));
  std::ofstream(folder_.file("data/postgresql.conf"), std::ios::app)
      << "listen_addresses = ''\nunix_socket_directories = '" << folder_.path()
      << "'\nmax_connections = 50\nshared_buffers = 32MB\n"
      << settings;
  start();
}

PostgresServer::~PostgresServer() {
  if (server_ > 0) stop(SIGQUIT);
}

PostgresServer& PostgresServer::shared() {
  static PostgresServer server;
  return server;
}

pid_t PostgresServer::spawn(const std::vector<std::string>& words) const {
  const passwd* user = other_user();
  std::vector<char*> arguments;
  for (const std::string& each : words) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  const std::string log = folder_.file("log");
  const pid_t process = fork();
  if (process != 0) return process;
  if (user != nullptr) {
    if (setgroups(0, nullptr) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) {
      _exit(126);
    }
  }
  prctl(PR_SET_PDEATHSIG, SIGQUIT);
  const int out = open(log.c_str(), O_CREAT | O_APPEND | O_WRONLY, 0644);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  if (chdir("/") != 0) _exit(126);
  execv(arguments[0], arguments.data());
  _exit(127);
}

void PostgresServer::start() {
  server_ = spawn({program("postgres"), "-D", folder_.file("data")});
  for (int i = 0; i < 1000; ++i) {
    PGconn* probe = PQconnectdb(uri("public").c_str());
    const bool up = PQstatus(probe) == CONNECTION_OK;
    PQfinish(probe);
    if (up) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  throw std::runtime_error("PostgreSQL does not start: see " + folder_.file("log"));
}

void PostgresServer::stop(int signal) {
  kill(server_, SIGCONT);
  kill(server_, signal);
  wait_for(server_);
  server_ = -1;
}

void PostgresServer::signal_all(int signal) const {
  for (const auto& each : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(each.path() / "stat");
    std::string pid, name, state;
    pid_t parent = 0;
    if (!(file >> pid >> name)) continue;
    while (!name.ends_with(')') && file >> state) name += state;
    if (file >> state >> parent && parent == server_) kill(std::stoi(pid), signal);
  }
  kill(server_, signal);
}

std::string PostgresServer::uri(const std::string& schema, const std::string& folder) const {
  return "postgresql://egret@/postgres?host=" + (folder.empty() ? folder_.path() : folder) +
         "&options=-csearch_path%3D" + schema;
}

std::string PostgresServer::new_schema() {
  std::string name = "t" + std::to_string(++schemas_);
  EXPECT_EQ(run("public", "CREATE SCHEMA " + name), "");
  return name;
}

std::string PostgresServer::run(const std::string& schema, const std::string& sql) const {
  PGconn* handle = PQconnectdb(uri(schema).c_str());
  PGresult* result = PQexec(handle, sql.c_str());
  std::string said = PQresultErrorMessage(result);
  if (result == nullptr) said = PQerrorMessage(handle);
  PQclear(result);
  PQfinish(handle);
  return said;
}

Rows PostgresServer::rows(const std::string& schema, const std::string& sql) const {
  PGconn* handle = PQconnectdb(uri(schema).c_str());
  PGresult* result = PQexec(handle, sql.c_str());
  EXPECT_EQ(PQresultStatus(result), PGRES_TUPLES_OK) << sql << ": " << PQerrorMessage(handle);
  Rows all;
  for (int i = 0; i < PQntuples(result); ++i) {
    std::string row;
    for (int column = 0; column < PQnfields(result); ++column) {
      const bool null = PQgetisnull(result, i, column) != 0;
      row.append(column == 0 ? "" : ",").append(null ? "null" : PQgetvalue(result, i, column));
    }
    all.push_back(std::move(row));
  }
  PQclear(result);
  PQfinish(handle);
  return all;
}

}  // namespace egret::queue
