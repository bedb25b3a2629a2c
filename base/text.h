#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace egret::text {

// ASCII only: HTTP and DNS know no other case.
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }
constexpr bool is_hex(char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); }
bool same_letters(const char* a, const char* b, size_t size);
inline bool equals_ignore_case(std::string_view a, std::string_view b) {
  // Most comparisons end here, without a call.
  return a.size() == b.size() && same_letters(a.data(), b.data(), a.size());
}
std::string to_lower(std::string_view text);
// Without the string that std::to_string makes.
void append_decimal(std::string& out, uint64_t number);

// Removes SP and HTAB at both ends (RFC 9110 OWS).
std::string_view trim(std::string_view text);

// All of `digits` as an unsigned decimal; nothing when empty, not digits, or above `max`.
std::optional<uint64_t> parse_decimal(std::string_view digits, uint64_t max = UINT64_MAX);

// `text` with every byte outside printable ASCII, and backslash, as \xNN: safe in a log or
// terminal.
std::string printable(std::string_view text, size_t max = 200);

// Appends `text` as the inside of a JSON string (RFC 8259); bytes that are not UTF-8 become U+FFFD.
void append_json(std::string& out, std::string_view text);

// The length of the well-formed UTF-8 sequence (RFC 3629) that `text` begins with; 0 when it begins
// with none.
size_t utf8_length(std::string_view text);

// RFC 4648 section 4, with padding.
std::string base64(std::string_view bytes);

// The bytes that `text` is the base64 of; nothing unless it is in the one canonical form, with
// padding and without line ends.
std::optional<std::string> from_base64(std::string_view text);

// The number of single-character edits between two words (Levenshtein): "did you mean".
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace egret::text
