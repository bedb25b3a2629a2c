#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "proxy/net/resolver.h"

namespace egret::net {

enum class RecordType : uint16_t { a = 1, aaaa = 28 };

// More addresses of one type than any host has: such an answer is refused, since cutting it short
// might cut off the private one.
inline constexpr size_t kMaxAddressesPerType = 256;
// RFC 1034 wants chains short; resolvers in the field follow 8 to 16 links.
inline constexpr size_t kMaxAliases = 16;

// True for a name that DNS can carry and that means only one thing: letters, digits, `-` and `_`
// in labels of 1 to 63, 253 in all, no trailing dot, no digit first in the last label (c-ares reads
// 010.0.0.1 as an address), not localhost (RFC 6761 6.3: never asked of DNS).
bool is_dns_name(std::string_view name);

// Reads a name server's whole reply to the question for `name`'s records of `type`. Pure.
//   Only addresses at the end of the chain of aliases that begins at `name` count: records of
//   other owners are ignored. Anything malformed refuses the reply whole. `ttl` is the smallest on
//   the chain; one with the top bit set is zero (RFC 2181 8).
// Errors:
//   name_not_found       NXDOMAIN
//   name_has_no_address  no record of `type` at the end of the chain
//   dns_error            another response code, truncated, malformed, another question's answer,
//                        an alias loop, two aliases for one name, an alias beside addresses,
//                        more than kMaxAddressesPerType.
// `detail` is a phrase for after the name: "SERVFAIL", "CNAME loop".
Result<Answer> parse_reply(std::string_view name, RecordType type, std::span<const uint8_t> bytes);

// True for a failure that only says that there is nothing: the other type's records may stand.
bool is_absence(const Result<Answer>& half);

// One answer of the two halves. Fails closed: any failure of either that is not an absence is the
// failure of the whole. With both absent, name_not_found only when neither says that the name
// exists: NXDOMAIN for one type of a name that has the other is a server's mistake of old
// (RFC 4074 4.2).
Result<Answer> merge(const Result<Answer>& ipv4, const Result<Answer>& ipv6);

}  // namespace egret::net
