#pragma once

#include <string>

#include "proxy/commands/admin_api.h"

namespace egret::commands {

// `egret endpoints …`, of a running Egret: hosts that fail or are switched off for queued
// deliveries, and open breakers. Each returns an exit code: 0, 1 when Egret says no or does not
// answer, 2 usage.
struct EndpointsOptions {
  AdminOptions admin;
  std::string host;
  bool json = false;
};

int endpoints_list(const EndpointsOptions& options);
int endpoints_enable(const EndpointsOptions& options);
int endpoints_disable(const EndpointsOptions& options);

}  // namespace egret::commands
