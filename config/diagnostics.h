#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "config/source.h"

namespace egret::config {

// Diagnostics collects every mistake of one text, then hands them over in the order of the text.
//   Bounded: what a hostile text can make it hold is kMostKept messages; the rest are counted.
class Diagnostics {
 public:
  static constexpr size_t kMostKept = 500;
  static constexpr size_t kLongestExcerpt = 400;  // bytes; longer lines are not shown

  explicit Diagnostics(const Source& source) : source_(source) {}

  void error(Span where, std::string message);
  void warning(Span where, std::string message);
  // Lines that hold a secret in the text: shown by no diagnostic, whatever it is about.
  void hide_line(int line) { hidden_.insert(line); }
  void hide_from(int line);
  [[nodiscard]] bool is_hidden(int line) const;

  [[nodiscard]] bool has_errors() const { return errors_ > 0; }
  [[nodiscard]] const Source& source() const { return source_; }
  // Sorted by position, warnings and errors together, with excerpts.
  [[nodiscard]] std::vector<Diagnostic> take();

 private:
  void add(Severity severity, Span where, std::string message);
  [[nodiscard]] std::string excerpt(int line) const;
  const Source& source_;
  std::vector<Diagnostic> kept_;
  std::set<int> hidden_;
  int hidden_from_ = 0;  // 0: nothing
  size_t errors_ = 0;
  size_t dropped_ = 0;
};

// `value` in double quotes, short and without bytes that could disturb a terminal.
std::string in_quotes(std::string_view value);

}  // namespace egret::config
