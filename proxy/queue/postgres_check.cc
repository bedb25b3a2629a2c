// What is asked of a URI and of its database before the store is opened.
#include <array>
#include <cstdlib>

#include "proxy/queue/postgres_schema.h"
#include "proxy/queue/store.h"

namespace egret::queue {
namespace {

struct Free {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using Parsed = std::unique_ptr<PQconninfoOption, Free>;

std::string value_of(const Parsed& options, std::string_view keyword) {
  for (const PQconninfoOption* each = options.get(); each->keyword != nullptr; ++each) {
    if (each->keyword == keyword && each->val != nullptr) return each->val;
  }
  return {};
}

}  // namespace

Result<std::string> check_postgres_store(const std::string& uri, const Secret& password) {
  const Result<PostgresPlaces> places = postgres_places(uri);
  if (!places) return Unexpected(places.error());
  const Result<std::unique_ptr<pg::Connection>> opened =
      pg::Connection::open({uri, password}, pg::Patience());
  if (!opened) return opened.error().detail;
  const std::optional<pg::SchemaFailure> schema = pg::check_schema(**opened);
  if (schema && schema->hopeless) return Unexpected(schema->failure);
  return schema ? schema->failure.detail : "";
}

Result<PostgresPlaces> postgres_places(const std::string& uri) {
  char* error = nullptr;
  const Parsed given(PQconninfoParse(uri.c_str(), &error));
  if (!given) {
    Failure failure = pg::postgres_failure(error != nullptr ? error : "libpq has no memory");
    PQfreemem(error);
    return Unexpected(std::move(failure));
  }
  const Parsed usual(PQconndefaults());
  if (!usual) return Unexpected(pg::postgres_failure("libpq has no memory"));
  PostgresPlaces places;
  for (const char* keyword :
       {"passfile", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir"}) {
    for (const Parsed* options : {&given, &usual}) {
      const std::string file = value_of(*options, keyword);
      if (!file.empty() && file != "system") places.named.push_back(file);
    }
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    for (const char* name : {"/.pgpass", "/.postgresql", "/.pg_service.conf"}) {
      places.usual.push_back(std::string(home) + name);
    }
  }
  for (const char* name : {"PGSERVICEFILE", "PGSYSCONFDIR"}) {
    if (const char* file = std::getenv(name); file != nullptr) places.usual.emplace_back(file);
  }
  std::string host = value_of(given, "host");
  if (host.empty() && value_of(given, "hostaddr").empty()) host = value_of(usual, "host");
  // A host that is a folder, or none: the socket of this machine.
  places.unix_socket =
      host.empty() || host.find('/') != std::string::npos || host.find('@') != std::string::npos;
  return places;
}

}  // namespace egret::queue
