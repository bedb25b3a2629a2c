#include "config/source.h"

#include <algorithm>

namespace egret::config {

Source::Source(std::string path, std::string_view text) : path_(std::move(path)), text_(text) {
  starts_.push_back(0);
  for (size_t i = 0; i < text_.size(); ++i) {
    if (text_[i] == '\n') starts_.push_back(i + 1);
  }
}

std::string_view Source::line(int number) const {
  if (number < 1 || static_cast<size_t>(number) > starts_.size()) return {};
  const auto index = static_cast<size_t>(number) - 1;
  const size_t end = index + 1 < starts_.size() ? starts_[index + 1] - 1 : text_.size();
  std::string_view line = text_.substr(starts_[index], end - starts_[index]);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

size_t Source::line_index(size_t offset) const {
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), offset);
  return static_cast<size_t>(after - starts_.begin()) - 1;
}

Span Source::span(size_t offset, size_t bytes) const {
  offset = std::min(offset, text_.size());
  const size_t index = line_index(offset);
  const int number = static_cast<int>(index) + 1;
  const std::string_view whole = line(number);
  const size_t before = std::min(offset - starts_[index], whole.size());
  if (known_.line != index || known_.bytes > before) known_ = {index, 0, 0};
  known_.characters += characters(whole.substr(known_.bytes, before - known_.bytes));
  known_.bytes = before;
  const int width = characters(whole.substr(before, bytes));
  return {number, known_.characters + 1, std::max(width, 1)};
}

std::string_view Source::rest_of_line(size_t offset) const {
  offset = std::min(offset, text_.size());
  const size_t index = line_index(offset);
  const std::string_view whole = line(static_cast<int>(index) + 1);
  return whole.substr(std::min(offset - starts_[index], whole.size()));
}

int characters(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;  // not a continuation byte
  }));
}

}  // namespace egret::config
