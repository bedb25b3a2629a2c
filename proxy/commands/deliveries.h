#pragma once

#include <string>

#include "proxy/commands/admin_api.h"

namespace egret::commands {

// `egret deliveries …`, of a running Egret. Each returns an exit code: 0, 1 when Egret says no or
// does not answer, 2 usage.
struct DeliveriesOptions {
  AdminOptions admin;
  std::string id;
  std::string status, host, sender, since;  // the filter
  int limit = 0;                            // of list: 0: 100; of export: 0: all
  bool json = false;
  bool content = false;
};

int deliveries_list(const DeliveriesOptions& options);
int deliveries_show(const DeliveriesOptions& options);
int deliveries_replay(const DeliveriesOptions& options);
int deliveries_cancel(const DeliveriesOptions& options);
// One JSON object a line.
int deliveries_export(const DeliveriesOptions& options);

}  // namespace egret::commands
