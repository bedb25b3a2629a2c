#include "proxy/net/dns_reply.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "base/text.h"

namespace egret::net {
namespace {

constexpr size_t kMaxWireName = 255;
constexpr size_t kMaxLabel = 63;
constexpr uint16_t kCname = 5;
constexpr uint16_t kClassIn = 1;

// A name in wire form, lower case: length-prefixed labels and the root. Never text, because a
// label may hold a dot and "a.b" as one label is another name than "a.b" as two.
using WireName = std::string;

WireName to_wire(std::string_view name) {
  WireName wire;
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    wire += static_cast<char>(label.size());
    wire += text::to_lower(label);
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  wire += '\0';
  return wire;
}

// Reads forwards over a message; every step says whether the bytes were there.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool u16(uint16_t& value) {
    if (left() < 2) return false;
    value = static_cast<uint16_t>(bytes_[at_] << 8 | bytes_[at_ + 1]);
    at_ += 2;
    return true;
  }
  bool u32(uint32_t& value) {
    uint16_t high = 0;
    uint16_t low = 0;
    if (!u16(high) || !u16(low)) return false;
    value = static_cast<uint32_t>(high) << 16 | low;
    return true;
  }
  bool take(size_t count, std::span<const uint8_t>& taken) {
    if (left() < count) return false;
    taken = bytes_.subspan(at_, count);
    at_ += count;
    return true;
  }
  // A name, compressed or not. Each pointer must lead to before where the part it ends began, so
  // that no chain of pointers can loop.
  bool name(WireName& name);

  [[nodiscard]] size_t at() const { return at_; }

 private:
  [[nodiscard]] size_t left() const { return bytes_.size() - at_; }
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

bool Reader::name(WireName& name) {
  name.clear();
  size_t at = at_;
  size_t part = at_;  // where the run of labels being read began
  bool jumped = false;
  while (at < bytes_.size()) {
    const size_t length = bytes_[at];
    if (length >= 0xc0) {
      if (at + 1 >= bytes_.size()) return false;
      const size_t target = (length & 0x3f) << 8 | bytes_[at + 1];
      if (target >= part) return false;
      if (!jumped) at_ = at + 2;
      jumped = true;
      at = part = target;
      continue;
    }
    // 0x40 and 0x80 are label types that nobody defined.
    if (length > kMaxLabel || at + 1 + length > bytes_.size()) return false;
    if (name.size() + 1 + length > kMaxWireName) return false;
    name += static_cast<char>(length);
    for (size_t i = 1; i <= length; ++i) name += text::lower(static_cast<char>(bytes_[at + i]));
    at += 1 + length;
    if (length == 0) {
      if (!jumped) at_ = at;
      return true;
    }
  }
  return false;
}

struct Alias {
  WireName owner;
  WireName target;
  uint32_t ttl = 0;
};
struct AddressRecord {
  WireName owner;
  policy::Address address;
  uint32_t ttl = 0;
};
// The answer section, as far as it matters.
struct Records {
  std::vector<Alias> aliases;
  std::vector<AddressRecord> addresses;
};

Unexpected bad(std::string detail) { return Unexpected(Reason::dns_error, std::move(detail)); }

std::string code_name(unsigned code) {
  switch (code) {
    case 1:
      return "FORMERR";
    case 2:
      return "SERVFAIL";
    case 4:
      return "NOTIMP";
    case 5:
      return "REFUSED";
    default:
      return "response code " + std::to_string(code);
  }
}

policy::Address to_address(RecordType type, std::span<const uint8_t> data) {
  if (type == RecordType::a) {
    std::array<uint8_t, 4> bytes{};
    std::ranges::copy(data, bytes.begin());
    return policy::Address::v4(bytes);
  }
  std::array<uint8_t, 16> bytes{};
  std::ranges::copy(data, bytes.begin());
  return policy::Address::v6(bytes);
}

// Header and question. The count of answers is left in `answers`.
Result<> read_question(Reader& reader, const WireName& asked, RecordType type, uint16_t& answers) {
  uint16_t id = 0;
  uint16_t flags = 0;
  uint16_t questions = 0;
  uint16_t skipped = 0;
  if (!reader.u16(id) || !reader.u16(flags) || !reader.u16(questions) || !reader.u16(answers) ||
      !reader.u16(skipped) || !reader.u16(skipped)) {
    return bad("a reply shorter than a DNS header");
  }
  if ((flags & 0x8000) == 0 || (flags & 0x7800) != 0) return bad("not a reply to a query");
  WireName name;
  uint16_t asked_type = 0;
  uint16_t asked_class = 0;
  if (questions != 1 || !reader.name(name) || !reader.u16(asked_type) || !reader.u16(asked_class) ||
      name != asked || asked_type != static_cast<uint16_t>(type) || asked_class != kClassIn) {
    return bad("a reply to another question");
  }
  // FORMERR and its like end here, after the question: a reply that does not even repeat it is
  // never taken for this one's.
  const unsigned code = flags & 0xfu;
  if (code == 3) return Unexpected(Reason::name_not_found, "NXDOMAIN");
  if (code != 0) return bad(code_name(code));
  if ((flags & 0x0200) != 0) return bad("a truncated reply");
  return {};
}

// One record of the answer section.
Result<> read_record(Reader& reader, std::span<const uint8_t> message, RecordType type,
                     Records& records) {
  const auto cut_short = [] { return bad("a malformed record"); };
  WireName owner;
  uint16_t kind = 0;
  uint16_t class_code = 0;
  uint32_t ttl = 0;
  uint16_t length = 0;
  if (!reader.name(owner) || !reader.u16(kind) || !reader.u16(class_code) || !reader.u32(ttl) ||
      !reader.u16(length)) {
    return cut_short();
  }
  const size_t data_at = reader.at();
  std::span<const uint8_t> data;
  if (!reader.take(length, data)) return cut_short();
  if (class_code != kClassIn) return {};
  if ((ttl & 0x80000000u) != 0) ttl = 0;
  if (kind == kCname) {
    // Read on a reader of its own, which ends where the record does.
    Reader inside(message.first(data_at + length));
    std::span<const uint8_t> before;
    WireName target;
    if (!inside.take(data_at, before) || !inside.name(target)) return bad("a malformed CNAME");
    if (inside.at() != data_at + length) return bad("a malformed CNAME");
    records.aliases.push_back({std::move(owner), std::move(target), ttl});
    return {};
  }
  if (kind != static_cast<uint16_t>(type)) return {};
  if (length != (type == RecordType::a ? 4 : 16)) return bad("an address record of a wrong length");
  if (records.addresses.size() == kMaxAddressesPerType) {
    return bad("more than " + std::to_string(kMaxAddressesPerType) + " addresses");
  }
  records.addresses.push_back({std::move(owner), to_address(type, data), ttl});
  return {};
}

bool has_address(const Records& records, const WireName& owner) {
  return std::ranges::any_of(records.addresses,
                             [&](const AddressRecord& record) { return record.owner == owner; });
}

// Follows the aliases from `name` to their end; `ttl` becomes the smallest on the way.
Result<WireName> follow(const Records& records, WireName name, uint32_t& ttl) {
  for (size_t links = 0; links <= kMaxAliases; ++links) {
    const Alias* next = nullptr;
    for (const Alias& alias : records.aliases) {
      if (alias.owner != name) continue;
      // RFC 2181 10.1: one alias a name. The same one twice is only sloppy.
      if (next != nullptr && next->target != alias.target) return bad("two CNAMEs for one name");
      next = &alias;
      ttl = std::min(ttl, alias.ttl);
    }
    if (next == nullptr) return name;
    if (has_address(records, name)) return bad("a CNAME beside an address");
    name = next->target;
  }
  return bad("a CNAME loop, or more than " + std::to_string(kMaxAliases) + " CNAMEs in a row");
}

}  // namespace

bool is_dns_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  std::string_view rest = name;
  std::string_view label;
  while (true) {
    label = rest.substr(0, rest.find('.'));
    if (label.empty() || label.size() > kMaxLabel) return false;
    const bool plain = std::ranges::all_of(label, [](char c) {
      return text::is_alpha(c) || text::is_digit(c) || c == '-' || c == '_';
    });
    if (!plain) return false;
    if (label.size() == rest.size()) break;
    rest.remove_prefix(label.size() + 1);
  }
  if (text::equals_ignore_case(label, "localhost")) return false;
  // Some parser takes a name whose last label begins with a digit for an address; no top-level
  // domain does (RFC 1123 2.1).
  return !text::is_digit(label[0]);
}

Result<Answer> parse_reply(std::string_view name, RecordType type, std::span<const uint8_t> bytes) {
  Reader reader(bytes);
  const WireName asked = to_wire(name);
  uint16_t answers = 0;
  if (Result<> question = read_question(reader, asked, type, answers); !question) {
    return Unexpected(std::move(question).error());
  }
  Records records;
  for (unsigned i = 0; i < answers; ++i) {
    if (Result<> record = read_record(reader, bytes, type, records); !record) {
      return Unexpected(std::move(record).error());
    }
  }
  uint32_t ttl = UINT32_MAX;
  const Result<WireName> end = follow(records, asked, ttl);
  if (!end) return Unexpected(end.error());
  Answer answer;
  for (const AddressRecord& record : records.addresses) {
    if (record.owner != *end) continue;
    answer.addresses.push_back(record.address);
    ttl = std::min(ttl, record.ttl);
  }
  if (answer.addresses.empty()) {
    // Addresses, and none of them ours: not the quiet "no such record" that it would look like.
    if (!records.addresses.empty()) return bad("only records of other names");
    return Unexpected(Reason::name_has_no_address, "no such record");
  }
  answer.ttl = std::chrono::seconds(ttl);
  return answer;
}

bool is_absence(const Result<Answer>& half) {
  return !half && (half.error().reason == Reason::name_not_found ||
                   half.error().reason == Reason::name_has_no_address);
}

Result<Answer> merge(const Result<Answer>& ipv4, const Result<Answer>& ipv6) {
  Answer answer;
  answer.ttl = Duration::max();
  bool exists = false;
  for (const Result<Answer>* half : {&ipv4, &ipv6}) {
    if (!*half) {
      if (!is_absence(*half)) return Unexpected(half->error());
      exists = exists || half->error().reason == Reason::name_has_no_address;
      continue;
    }
    const Answer& found = half->value();
    answer.addresses.insert(answer.addresses.end(), found.addresses.begin(), found.addresses.end());
    answer.ttl = std::min(answer.ttl, found.ttl);
  }
  if (!answer.addresses.empty()) return answer;
  if (exists) return Unexpected(Reason::name_has_no_address, "neither A nor AAAA record");
  return Unexpected(Reason::name_not_found, "NXDOMAIN");
}

}  // namespace egret::net
