#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <string_view>

#include "proxy/http/parser.h"

// Heads to parse, and the rows of the tables of those that are refused.
namespace egret::http {

using std::string;
using std::string_view;

struct Refused {
  const char* behaviour;
  string head;
  Reason reason;
};

inline string request(string_view fields, string_view line = "POST http://a.test/ HTTP/1.1") {
  return string(line) + "\r\nHost: a.test\r\n" + string(fields) + "\r\n";
}

inline string response(string_view fields, string_view line = "HTTP/1.1 200 OK") {
  return string(line) + "\r\n" + string(fields) + "\r\n";
}

inline void PrintTo(const Refused& row, std::ostream* out) { *out << row.behaviour; }

inline string test_name(const testing::TestParamInfo<Refused>& info) {
  return info.param.behaviour;
}

inline string many_fields(size_t count) {
  string fields;
  for (size_t i = 0; i < count; ++i) fields += "X: y\r\n";
  return fields;
}

}  // namespace egret::http
