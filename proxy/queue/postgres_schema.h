#pragma once

#include "proxy/queue/postgres_connection.h"

namespace egret::queue::pg {

// A failure after which trying again is of no use: the tables are of a later version of Egret, or
// none of Egret's.
struct SchemaFailure {
  Failure failure;
  bool hopeless = false;
};

// Makes the tables, or brings those of an earlier version up to date; others may do the same at
// the same time. Nothing: well.
std::optional<SchemaFailure> prepare_schema(Connection& connection);
// That they are Egret's, and of no later version, or not there yet; and that they can be written.
// Nothing is changed.
std::optional<SchemaFailure> check_schema(Connection& connection);

}  // namespace egret::queue::pg
