#pragma once

#include "proxy/queue/sqlite_database.h"

namespace egret::queue {

// Makes the tables, or brings those of an earlier version up to date, and sets the connection up:
// write-ahead log, every commit synchronised, nobody else's meanwhile.
//   `path`: its file's. Errors: queue_unavailable; also for a database of a later version, one of
//   somebody else, and one that others may read.
Result<> prepare_schema(Database& database, const std::string& path);
// That it is one of Egret's, and of no later version; nothing is changed. Well, too, when another
// process has it open, or there is none yet.
Result<> check_schema(Database& database);

}  // namespace egret::queue
