#pragma once

#include "base/result.h"
#include "proxy/sandbox/sandbox.h"

namespace egret::sandbox {

// The kernel's Landlock ABI, or 0 when there is none or it is switched off.
int landlock_version();

// Restricts this thread, and those made later, to the folders of `needs`. Wants no_new_privs.
// Errors: internal_error.
Result<> restrict_files(const Needs& needs, int version);

}  // namespace egret::sandbox
