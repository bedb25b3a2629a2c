#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace egret::commands {

// AdminClient asks a running Egret's admin listener. Blocks, 30 s at most for a step; for a command
// that does nothing else.
class AdminClient {
 public:
  // `url`: "http://127.0.0.1:4751", or "unix:/run/egret/admin.sock". Errors: url_malformed.
  static Result<AdminClient> make(std::string_view url, std::string token);

  struct Answer {
    int status = 0;
    std::string content;
  };
  // Errors, with a sentence: connection_failed, connection_terminated, response_malformed.
  [[nodiscard]] Result<Answer> ask(std::string_view method, std::string_view target) const;

 private:
  std::string url_;  // as given
  std::string unix_path_;
  std::string host_;  // no brackets
  std::string port_;
  std::string host_field_;
  std::string token_;
};

// RFC 3986 2.1: everything but unreserved characters.
std::string percent_encoded(std::string_view text);

}  // namespace egret::commands
