#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace egret::test {

// One row of tests/data/http1.jsonl, with the placeholders filled in: the bytes of a request or of
// an answer, and what is expected of them. The fields are those of the file; an absent one is
// empty.
struct CorpusCase {
  // The two destinations that a case may name. The proxy's own address is 127.0.0.1:4750.
  static constexpr std::string_view kDestination = "127.0.0.1:9999";
  static constexpr std::string_view kOther = "127.0.0.1:9998";

  std::string id;
  std::string category;
  std::string title;
  std::string expect;
  std::string bytes;
  std::string end;  // "", "close", "half-close" or "rst": what follows the bytes
  std::vector<int> status;

  // Of a request: what its destination may and must see.
  std::optional<size_t> max_requests;
  std::vector<std::string> must_see;  // regular expressions, as the next
  std::vector<std::string> must_not_see;
  std::optional<std::string> body;  // of an answer: what the sender must see
  std::string line;
  std::string host;

  // Of an answer: what is asked, when it is given, and what may become of its connection.
  std::string asked;
  std::string when;  // "", "after-head" or "on-accept"
  bool must_not_reuse = false;

  // For SCOPED_TRACE.
  [[nodiscard]] std::string name() const { return id + " (" + expect + "): " + title; }
};

// The rows of `direction` ("request" or "response") in `category` ("": in any) of the file at
// `path` that are bytes, not programs, and fewer than 2 KiB of them: those that may be split
// everywhere. Throws std::runtime_error when the file cannot be read.
std::vector<CorpusCase> read_corpus(const std::string& path, std::string_view direction,
                                    std::string_view category = {});
// The categories of those rows, each once, in order.
std::vector<std::string> corpus_categories(const std::string& path, std::string_view direction);

// How bytes may arrive: whole, in two pieces, or one at a time.
struct Arrival {
  size_t first = 0;     // the size of the first piece; 0: whole
  bool single = false;  // one byte at a time
  [[nodiscard]] std::vector<std::string_view> pieces(std::string_view bytes) const;
  [[nodiscard]] std::string name() const;
};
// Every way for `size` bytes: whole first.
std::vector<Arrival> arrivals(size_t size);

// Why two readers could disagree about this request head; "" when none should. Strict by hand, so
// that it does not share a mistake with the parser that it watches.
std::string ambiguity(std::string_view head);

}  // namespace egret::test
