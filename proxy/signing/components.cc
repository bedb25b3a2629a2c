#include "proxy/signing/components.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace egret::signing {
namespace {

std::string lower_authority(const policy::Url& url) { return text::to_lower(url.host_header()); }

// RFC 9421 2.2.8: the value as it is written, of the one parameter of that name.
std::optional<std::string> query_parameter(const policy::Url& url, std::string_view name) {
  std::optional<std::string> found;
  std::string_view rest = url.query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::string_view key = pair.substr(0, pair.find('='));
    if (key != name) continue;
    if (found) return std::nullopt;  // which of them would be meant?
    found = std::string(pair.substr(std::min(pair.size(), key.size() + 1)));
  }
  return found;
}

std::optional<std::string> field_value(std::string_view name, std::span<const http::Field> fields) {
  std::optional<std::string> value;
  for (const http::Field& field : fields) {
    if (!text::equals_ignore_case(field.name, name)) continue;
    if (!value) {
      value = std::string(text::trim(field.value));
    } else {
      value->append(", ").append(text::trim(field.value));
    }
  }
  return value;
}

// Reads structured fields (RFC 8941) from left to right; after a mistake everything fails.
class SfReader {
 public:
  explicit SfReader(std::string_view rest) : all_(rest), rest_(rest) {}
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool done() const { return good_ && rest_.empty(); }
  [[nodiscard]] size_t at() const { return all_.size() - rest_.size(); }
  [[nodiscard]] std::string_view since(size_t begin) const {
    return all_.substr(begin, at() - begin);
  }
  void fail() { good_ = false; }
  bool take(char c) {
    if (!good_ || !rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail();
  }
  void spaces() {
    while (take(' ')) {
    }
  }
  void white_space() {
    while (take(' ') || take('\t')) {
    }
  }
  std::string key() {
    const auto first = [](char c) { return (c >= 'a' && c <= 'z') || c == '*'; };
    const auto later = [&](char c) {
      return first(c) || text::is_digit(c) || c == '_' || c == '-' || c == '.';
    };
    if (rest_.empty() || !first(rest_[0])) fail();
    return run(later);
  }
  std::string string() {
    expect('"');
    std::string out;
    while (good_ && !rest_.empty() && rest_[0] != '"') {
      char c = rest_[0];
      rest_.remove_prefix(1);
      if (c == '\\') {
        if (rest_.empty() || (rest_[0] != '"' && rest_[0] != '\\')) fail();
        c = rest_.empty() ? c : rest_[0];
        rest_.remove_prefix(rest_.empty() ? 0 : 1);
      }
      if (c < 0x20 || c > 0x7E) fail();
      out += c;
    }
    expect('"');
    return out;
  }
  int64_t integer() {
    const bool negative = take('-');
    const std::string digits = run(text::is_digit);
    const auto value = text::parse_decimal(digits, 999'999'999'999'999);  // RFC 8941 3.3.1
    if (!value) fail();
    const auto number = static_cast<int64_t>(value.value_or(0));
    return negative ? -number : number;
  }
  std::string bytes() {
    expect(':');
    const std::string encoded = run([](char c) { return c != ':'; });
    expect(':');
    const std::optional<std::string> decoded = text::from_base64(encoded);
    if (!decoded) fail();
    return decoded.value_or("");
  }
  [[nodiscard]] char next() const { return rest_.empty() ? '\0' : rest_[0]; }
  // True when another member follows; nothing may stand behind a comma at the end.
  bool comma() {
    white_space();
    if (!take(',')) return false;
    white_space();
    if (rest_.empty()) fail();
    return good_;
  }

 private:
  template <typename Wanted>
  std::string run(Wanted wanted) {
    size_t size = 0;
    while (size < rest_.size() && wanted(rest_[size])) ++size;
    const std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }
  std::string_view all_;
  std::string_view rest_;
  bool good_ = true;
};

void read_parameter(SfReader& reader, SignatureInput& input) {
  reader.spaces();
  const std::string name = reader.key();
  if (!reader.take('=')) return;  // a boolean
  if (reader.next() == '"') {
    std::string value = reader.string();
    if (name == "alg") input.alg = std::move(value);
    if (name == "keyid") input.keyid = std::move(value);
    return;
  }
  const int64_t value = reader.integer();
  if (name == "created") input.created = value;
  if (name == "expires") input.expires = value;
}

Component read_component(SfReader& reader) {
  Component component{reader.string(), {}};
  while (reader.take(';')) {
    reader.spaces();
    const std::string name = reader.key();
    // Other parameters change what the component means, in ways that are not known here.
    if (component.name != "@query-param" || name != "name" || !reader.take('=')) reader.fail();
    if (reader.good()) component.query_name = reader.string();
  }
  return component;
}

SignatureInput read_member(SfReader& reader) {
  SignatureInput input;
  input.label = reader.key();
  reader.expect('=');
  const size_t begin = reader.at();
  reader.expect('(');
  reader.spaces();
  while (reader.good() && !reader.take(')')) {
    input.components.push_back(read_component(reader));
    const bool apart = reader.next() == ' ' || reader.next() == ')';
    if (!apart) reader.fail();
    reader.spaces();
  }
  while (reader.take(';')) read_parameter(reader, input);
  input.params = reader.since(begin);
  return input;
}

}  // namespace

std::string Component::identifier() const {
  std::string out;
  append_sf_string(out, name);
  if (name == "@query-param") {
    out += ";name=";
    append_sf_string(out, query_name);
  }
  return out;
}

void append_sf_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

std::optional<std::string> component_value(const Component& component, const Covered& message) {
  const std::string_view name = component.name;
  if (!name.starts_with('@')) return field_value(name, message.fields);
  const policy::Url& url = message.url;
  const std::string scheme(to_string(url.scheme));
  if (name == "@method") return std::string(message.method);
  if (name == "@target-uri") return scheme + "://" + lower_authority(url) + url.origin_form();
  if (name == "@authority") return lower_authority(url);
  if (name == "@scheme") return scheme;
  if (name == "@request-target") return url.origin_form();
  if (name == "@path") return url.path;
  if (name == "@query") return "?" + url.query;
  if (name == "@query-param") return query_parameter(url, component.query_name);
  return std::nullopt;
}

Result<std::string> signature_base(std::span<const Component> components, std::string_view params,
                                   const Covered& message) {
  std::string base;
  for (const Component& component : components) {
    const std::optional<std::string> value = component_value(component, message);
    if (!value) {
      return Unexpected(Reason::signing_failed, "The request has no " +
                                                    text::printable(component.name, 60) +
                                                    ", which the signature covers.");
    }
    base.append(component.identifier()).append(": ").append(*value).append("\n");
  }
  base.append("\"@signature-params\": ").append(params);
  return base;
}

std::optional<std::vector<SignatureInput>> parse_signature_input(std::string_view value) {
  constexpr size_t kMostMembers = 16;
  SfReader reader(text::trim(value));
  std::vector<SignatureInput> members;
  do {
    members.push_back(read_member(reader));
  } while (reader.good() && members.size() <= kMostMembers && reader.comma());
  if (!reader.done() || members.size() > kMostMembers) return std::nullopt;
  for (SignatureInput& member : members) {
    for (size_t i = 0; i < member.components.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        // RFC 9421 2: no component twice.
        if (member.components[i].identifier() == member.components[j].identifier()) {
          return std::nullopt;
        }
      }
    }
  }
  return members;
}

std::optional<std::string> dictionary_bytes(std::string_view value, std::string_view label) {
  SfReader reader(text::trim(value));
  std::optional<std::string> found;
  do {
    const std::string name = reader.key();
    reader.expect('=');
    std::string bytes = reader.bytes();
    if (name == label) found = std::move(bytes);
  } while (reader.good() && reader.comma());
  if (!reader.done()) return std::nullopt;
  return found;
}

}  // namespace egret::signing
