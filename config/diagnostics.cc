#include "config/diagnostics.h"

#include <algorithm>
#include <tuple>

#include "base/text.h"

namespace egret::config {
namespace {

// The blank part before the caret: tabs stay tabs, so that the caret stands under its character.
std::string padding(std::string_view line, int column) {
  std::string out;
  for (const char c : line) {
    if ((static_cast<unsigned char>(c) & 0xC0) == 0x80) continue;
    if (static_cast<int>(out.size()) + 1 >= column) break;
    out += c == '\t' ? '\t' : ' ';
  }
  while (static_cast<int>(out.size()) + 1 < column) out += ' ';
  return out;
}

}  // namespace

void Diagnostics::error(Span where, std::string message) {
  ++errors_;
  add(Severity::error, where, std::move(message));
}

void Diagnostics::warning(Span where, std::string message) {
  add(Severity::warning, where, std::move(message));
}

void Diagnostics::hide_from(int line) {
  hidden_from_ = hidden_from_ == 0 ? line : std::min(hidden_from_, line);
}

void Diagnostics::add(Severity severity, Span where, std::string message) {
  if (kept_.size() >= kMostKept) {
    ++dropped_;
    return;
  }
  kept_.push_back({.severity = severity,
                   .path = source_.path(),
                   .line = where.line,
                   .column = where.column,
                   .message = std::move(message),
                   .excerpt = {},
                   .width = where.width});
}

bool Diagnostics::is_hidden(int line) const {
  return hidden_.contains(line) || (hidden_from_ != 0 && line >= hidden_from_);
}

std::string Diagnostics::excerpt(int line) const {
  if (is_hidden(line)) return {};
  const std::string_view text = source_.line(line);
  return text.size() > kLongestExcerpt ? std::string() : std::string(text);
}

std::vector<Diagnostic> Diagnostics::take() {
  std::stable_sort(kept_.begin(), kept_.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  for (Diagnostic& diagnostic : kept_) diagnostic.excerpt = excerpt(diagnostic.line);
  if (dropped_ > 0) {
    Diagnostic more;
    more.severity = errors_ > 0 ? Severity::error : Severity::warning;
    more.path = source_.path();
    more.message = std::to_string(dropped_) + " more; mend these first";
    kept_.push_back(std::move(more));
  }
  return std::move(kept_);
}

std::string Diagnostic::to_string() const {
  std::string out = path;
  if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
  out += severity == Severity::error ? ": error: " : ": warning: ";
  out += message;
  if (excerpt.empty()) return out;
  std::string number = std::to_string(line);
  number.insert(0, number.size() < 5 ? 5 - number.size() : 0, ' ');
  const int room = std::max(1, characters(excerpt) - column + 1);
  out += "\n" + number + " | " + excerpt + "\n" + std::string(number.size(), ' ') + " | ";
  out += padding(excerpt, column) + "^";
  out.append(static_cast<size_t>(std::clamp(width, 1, room) - 1), '~');
  return out;
}

std::string in_quotes(std::string_view value) { return '"' + text::printable(value, 80) + '"'; }

}  // namespace egret::config
