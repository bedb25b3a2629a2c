#pragma once

#include "base/result.h"
#include "proxy/sandbox/sandbox.h"

namespace egret::sandbox {

// Lets this thread, and those made later, make only the system calls that Egret uses, for files,
// sockets, threads, memory, time and signals to itself, with arguments that Egret gives them.
//   What is refused fails with EPERM; running a program ends the process (SIGSYS).
//   Returns how many rules let something through. Errors: internal_error with what the kernel does
//   not take. Wants no_new_privs.
Result<int> restrict_system_calls(const Needs& needs);

}  // namespace egret::sandbox
