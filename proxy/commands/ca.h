#pragma once

#include <string>
#include <vector>

namespace egret::commands {

// Where the interception CA is: as the configuration says, or as the command line does, or
// ./egret-ca.pem and ./egret-ca.key.
struct CaFiles {
  std::string config;
  std::string certificate;
  std::string key;
};

struct CaInit {
  CaFiles files;
  std::string name = "Egret interception CA";
  int days = 3650;
  std::vector<std::string> permit_dns;  // domains that it may vouch for, and what is below them
  std::vector<std::string> permit_ip;   // networks
};

// `egret ca init`: makes a CA. Overwrites nothing; the key's file is its owner's only. 0 or 2.
int ca_init(const CaInit& wanted);
// `egret ca show`: what the CA is, and how senders come to trust it. The key is not read. 0 or 2.
int ca_show(const CaFiles& files);

}  // namespace egret::commands
