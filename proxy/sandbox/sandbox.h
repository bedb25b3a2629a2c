#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace egret::sandbox {

// What the process still needs. Folders, with everything below them, or files; what does not exist
// is left out.
struct Needs {
  std::vector<std::string> read;
  std::vector<std::string> logs;     // files are made and appended to
  std::vector<std::string> stores;   // databases: files are made, locked, written, cut and removed
  std::vector<std::string> sockets;  // Unix sockets are made and removed; with none, there are none
  bool unix_clients = false;         // it connects to a Unix socket, as of a database
  // A build with AddressSanitizer or ThreadSanitizer stops its own threads to look for leaks, and
  // runs a program to name places: it keeps processes, ptrace and executable memory.
  bool sanitizers = false;
};

// What is in force.
struct Entered {
  int seccomp_rules = 0;     // of what is let through; 0: there is no filter
  int landlock_version = 0;  // of the kernel's Landlock ABI; 0: it has none, or may not be asked
  std::string missing;       // which of the two is not there, and why; empty: both are
};

// Gives up, for this thread and every one made later, for ever, what a gateway does not need:
//   1. no new privileges: set-user-ID programs give none (prctl(2) PR_SET_NO_NEW_PRIVS);
//   2. Landlock: no file is opened outside of the folders, none is executed (landlock(7));
//   3. seccomp: no system call but those that Egret uses (seccomp.cc). Running a program ends
//      the process; anything else fails with EPERM.
//   Call it before a thread is made. Errors: internal_error when privileges cannot be given up, or
//   Landlock is there and does not take a folder: then the process must not go on.
Result<Entered> enter(const Needs& needs);

// No core dump, no ptrace by the same user, /proc/self for root only: for whoever holds secrets.
// False when the kernel refuses.
[[nodiscard]] bool keep_memory_private();

}  // namespace egret::sandbox
