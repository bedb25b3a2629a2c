#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace egret::config {

// A place in the text, for a person: both from 1, columns and width in characters, not bytes.
struct Span {
  int line = 0;  // 0: the file as a whole
  int column = 0;
  int width = 1;
};

// Source is the text of one configuration and knows where its lines are. The text must outlive it.
class Source {
 public:
  Source(std::string path, std::string_view text);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string_view text() const { return text_; }
  // Line `number` (from 1) without its line end; empty when there is no such line.
  [[nodiscard]] std::string_view line(int number) const;
  // The place of `bytes` bytes at `offset`, cut at the end of the line; beyond the text: its end.
  [[nodiscard]] Span span(size_t offset, size_t bytes = 1) const;
  // What follows `offset` on its line.
  [[nodiscard]] std::string_view rest_of_line(size_t offset) const;

 private:
  [[nodiscard]] size_t line_index(size_t offset) const;
  std::string path_;
  std::string_view text_;
  std::vector<size_t> starts_;  // offset of each line
  // The last place asked for: places are asked for in the order of the text, and a line may be as
  // long as the text.
  struct Known {
    size_t line = 0;
    size_t bytes = 0;
    int characters = 0;
  };
  mutable Known known_;
};

// The number of characters (code points) in UTF-8 text.
int characters(std::string_view text);

}  // namespace egret::config
