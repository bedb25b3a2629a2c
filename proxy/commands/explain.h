#pragma once

#include <string>

namespace egret::commands {

struct ExplainOptions {
  std::string config;
  std::string sender;
  std::string method = "POST";
  bool json = false;
  std::string url;  // "-": one a line from stdin, one JSON object a line to stdout
};

// `egret explain`: the verdict with each step, by the code that serves requests. 0 allowed,
// 3 denied or malformed, 4 cannot be resolved, 2 usage or configuration; of several URLs the worst.
int explain(const ExplainOptions& options);

}  // namespace egret::commands
