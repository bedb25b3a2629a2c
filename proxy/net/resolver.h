#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "policy/address.h"
#include "proxy/async/task.h"

namespace egret::net {

struct Answer {
  std::vector<policy::Address> addresses;  // every A and AAAA record, never empty
  Duration ttl = Duration::zero();         // the smallest of the records on the chain
};

// Resolver turns a canonical name into every address it has: A and AAAA are asked together and the
// answer is the union, so that policy sees all that a client could be led to.
//   Owner: the worker. Outlives every Task it returned. One thread: the worker's loop.
//   Cancel: destroying the Task; a query that others wait for goes on.
//   Names only: an IP literal or localhost never comes here. No search domains. No CNAME target is
//   judged: the addresses are.
class Resolver {
 public:
  virtual ~Resolver() = default;
  // Errors:
  //   name_not_found       NXDOMAIN
  //   name_has_no_address  the name exists, with neither A nor AAAA
  //   dns_timeout          no server answered within the tries, or `deadline` came
  //   dns_error            SERVFAIL, REFUSED, malformed or truncated beyond repair, CNAME loop.
  // Fails closed: when A answers and AAAA fails for any other cause than "no such record", the
  // whole resolution fails, since a missing half might hold the private address.
  virtual async::Task<Result<Answer>> resolve(std::string name, Deadline deadline) = 0;
};

}  // namespace egret::net
