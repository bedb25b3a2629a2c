#include "config/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

#include "base/text.h"

namespace egret::config {
namespace {

// Thrown through the YAML library to leave it early; the diagnostic is already there.
struct Abandon {};

// The bytes that a scalar takes on its first line, and whether it goes on after that.
struct Extent {
  size_t bytes = 1;
  bool many_lines = false;
};

Extent extent_of_quoted(std::string_view line) {
  const char quote = line.empty() ? '\0' : line.front();
  if (quote != '"' && quote != '\'') return {1, true};  // a block scalar, or behind a tag
  for (size_t i = 1; i < line.size(); ++i) {
    if (quote == '"' && line[i] == '\\') {
      ++i;
    } else if (line[i] == quote) {
      if (quote == '"' || i + 1 >= line.size() || line[i + 1] != quote) return {i + 1, false};
      ++i;
    }
  }
  return {line.size(), true};
}

Extent extent_of_scalar(std::string_view line, std::string_view text, bool quoted) {
  if (quoted) return extent_of_quoted(line);
  if (line.starts_with(text)) return {text.size(), false};
  return {line.size(), true};
}

// Builds the tree out of the parser's events: a Node tree by the library would have lost repeated
// keys, and would follow aliases.
class Builder final : public YAML::EventHandler {
 public:
  Builder(const Source& source, Diagnostics& diagnostics)
      : source_(source), diagnostics_(diagnostics) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      diagnostics_.error(place(mark), "a second document begins here; a configuration is one");
      throw Abandon();
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    const std::string_view line = source_.rest_of_line(offset(mark));
    const bool written =
        line.starts_with('~') || text::equals_ignore_case(line.substr(0, 4), "null");
    add(mark, Node::Kind::none).text = written ? "null" : "";
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    diagnostics_.error(place(mark), "aliases are not supported; write the value out");
    add(mark, Node::Kind::refused);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    const bool tagged = refuse_tag(mark, tag);
    Node& node = add(mark, tagged ? Node::Kind::refused : Node::Kind::scalar);
    const std::string_view line = source_.rest_of_line(offset(mark));
    node.quoted = tag == "!";
    const Extent extent = extent_of_scalar(line, value, node.quoted);
    node.text = value;
    node.many_lines = extent.many_lines || tagged;
    node.span = source_.span(offset(mark), extent.bytes);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    begin(mark, tag, anchor, Node::Kind::list);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    begin(mark, tag, anchor, Node::Kind::mapping);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapEnd() override { end(); }

  [[nodiscard]] Node take() { return std::move(root_); }

 private:
  static size_t offset(const YAML::Mark& mark) {
    return mark.pos < 0 ? 0 : static_cast<size_t>(mark.pos);
  }
  [[nodiscard]] Span place(const YAML::Mark& mark) const { return source_.span(offset(mark)); }

  void begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             Node::Kind kind) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (open_.size() >= kDeepest) {
      diagnostics_.error(place(mark), "nested too deeply; no key is deeper than " +
                                          std::to_string(kDeepest) + " levels");
      throw Abandon();
    }
    add(mark, kind);
    // The parent cannot grow before this child has ended, so the pointer stays good.
    Node* parent = open_.empty() ? nullptr : open_.back();
    if (parent == nullptr) {
      open_.push_back(&root_);
    } else {
      const bool is_key =
          parent->kind == Node::Kind::mapping && parent->keys.size() > parent->items.size();
      open_.push_back(is_key ? &parent->keys.back() : &parent->items.back());
    }
  }
  void end() { open_.pop_back(); }

  Node& add(const YAML::Mark& mark, Node::Kind kind) {
    if (++nodes_ > kMostNodes) {
      diagnostics_.error(place(mark),
                         "more than " + std::to_string(kMostNodes) + " values in one file");
      throw Abandon();
    }
    Node node;
    node.kind = kind;
    node.span = place(mark);
    if (open_.empty()) return root_ = std::move(node);
    Node& parent = *open_.back();
    const bool is_key =
        parent.kind == Node::Kind::mapping && parent.keys.size() == parent.items.size();
    std::vector<Node>& siblings = is_key ? parent.keys : parent.items;
    siblings.push_back(std::move(node));
    return siblings.back();
  }

  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor == 0) return;
    diagnostics_.error(place(mark), "anchors are not supported; write the value out");
  }
  // True when there is a tag. The library gives "?" to what has none and "!" to quoted text.
  bool refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return false;
    diagnostics_.error(place(mark), "tags are not supported");
    return true;
  }

  const Source& source_;
  Diagnostics& diagnostics_;
  Node root_;
  std::vector<Node*> open_;
  size_t documents_ = 0;
  size_t nodes_ = 0;
};

// The bytes must be the text that an editor shows. False when parsing makes no sense.
bool check_bytes(const Source& source, Diagnostics& diagnostics) {
  const std::string_view all = source.text();
  if (all.size() > kMostBytes) {
    diagnostics.error({}, "the file is larger than 1 MiB");
    return false;
  }
  if (all.starts_with("\xEF\xBB\xBF") || all.starts_with("\xFE\xFF") ||
      all.starts_with("\xFF\xFE")) {
    diagnostics.error({}, "the file begins with a byte-order mark; save it as UTF-8 without one");
    return false;
  }
  for (size_t i = 0; i < all.size();) {
    const size_t length = text::utf8_length(all.substr(i));
    const char c = all[i];
    if (length == 0) {
      diagnostics.error(source.span(i), "this is not UTF-8");
      diagnostics.hide_line(source.span(i).line);  // it would not be in the output either
      return false;
    }
    const bool line_end = c == '\n' || (c == '\r' && all.substr(i).starts_with("\r\n"));
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t' && !line_end) || byte == 0x7F) {
      diagnostics.error(source.span(i), "a control byte (" + text::printable(all.substr(i, 1)) +
                                            ") has no place in a configuration");
      diagnostics.hide_line(source.span(i).line);
      return false;
    }
    i += length;
  }
  return true;
}

// YAML forbids tabs as indentation; the library's own words for it do not say so.
bool check_tabs(const Source& source, Diagnostics& diagnostics) {
  const std::string_view all = source.text();
  bool good = true;
  for (size_t start = 0; start < all.size();) {
    const size_t end = std::min(all.find('\n', start), all.size());
    const std::string_view line = all.substr(start, end - start);
    const size_t content = std::min(line.find_first_not_of(" \t\r"), line.size());
    const size_t tab = line.substr(0, content).find('\t');
    if (content < line.size() && line[content] != '#' && tab != std::string_view::npos) {
      diagnostics.error(source.span(start + tab), "a tab in the indentation; YAML wants spaces");
      good = false;
    }
    start = end + 1;
  }
  return good;
}

// A syntax error ends the reading before it is known which text is a secret: a line that may hold
// one is not shown.
bool may_hold_secret(std::string_view line) {
  static constexpr std::array<std::string_view, 5> kWords = {"pass", "pwd", "token", "secret",
                                                             "credential"};
  const std::string lower = text::to_lower(line);
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

void report_syntax(const Source& source, Diagnostics& diagnostics, const YAML::Exception& error) {
  const Span where =
      error.mark.is_null() ? Span{} : source.span(static_cast<size_t>(error.mark.pos));
  for (int line = where.line; line > 0 && line > where.line - 3; --line) {
    if (may_hold_secret(source.line(line))) diagnostics.hide_line(where.line);
  }
  diagnostics.error(where, "not valid YAML: " + text::printable(error.msg, 120));
}

}  // namespace

std::optional<Node> parse_document(const Source& source, Diagnostics& diagnostics) {
  if (!check_bytes(source, diagnostics) || !check_tabs(source, diagnostics)) return std::nullopt;
  Builder builder(source, diagnostics);
  try {
    std::istringstream stream{std::string(source.text())};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Abandon&) {
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    report_syntax(source, diagnostics, error);
    return std::nullopt;
  }
  Node root = builder.take();
  if (root.kind == Node::Kind::none) {
    diagnostics.error({}, "the file says nothing; to run with the defaults leave -c out");
    return std::nullopt;
  }
  if (root.kind != Node::Kind::mapping) {
    diagnostics.error(root.span, "a configuration is a mapping of keys, such as \"listeners:\"");
    return std::nullopt;
  }
  return root;
}

}  // namespace egret::config
