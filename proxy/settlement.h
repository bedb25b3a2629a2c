#pragma once

#include <cstdint>

#include "proxy/queue/delivery.h"
#include "proxy/sender_connection.h"
#include "proxy/services.h"

namespace egret::proxy {

// What the queue is told of an attempt that was made at what it lent, by the rule that took it:
// what becomes of the delivery, when it is due again, what is held against its destination.
// `tries`: of its schedule, before this one. The worker's thread.
void settle_attempt(Services& services, const KeptRequest& kept, uint32_t tries,
                    queue::Settled& settled);

// Of one that an exception has ended. Counted, so that what ends by a bug each time ends with its
// schedule. Does not throw: the bug may be that there is no memory.
void settle_bug(const Services& services, uint32_t tries, queue::Settled& settled);

}  // namespace egret::proxy
