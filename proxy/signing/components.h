#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "policy/url.h"
#include "proxy/http/message.h"

namespace egret::signing {

// A component that an HTTP message signature covers (RFC 9421 2).
struct Component {
  std::string name;        // "@method", "content-type"
  std::string query_name;  // of @query-param: the name that it is about, as it is written
  // As Signature-Input and the signature base spell it: "@query-param";name="x".
  [[nodiscard]] std::string identifier() const;
};

// What components are taken from.
struct Covered {
  std::string_view method;
  const policy::Url& url;
  std::span<const http::Field> fields;
};

// The component's value; nothing when the message has none. Several lines of a field are joined by
// ", " (RFC 9421 2.1).
std::optional<std::string> component_value(const Component& component, const Covered& message);

// The signature base (RFC 9421 2.5) over `components`, whose parameters are `params`.
//   Errors: signing_failed, with the component that the message does not have.
Result<std::string> signature_base(std::span<const Component> components, std::string_view params,
                                   const Covered& message);

// "text" as an sf-string (RFC 8941 3.3.3). Printable ASCII.
void append_sf_string(std::string& out, std::string_view text);

// One member of a Signature-Input dictionary (RFC 8941): a label and what it covers.
struct SignatureInput {
  std::string label;
  std::vector<Component> components;
  std::string params;  // the inner list with its parameters, as it was sent
  std::optional<int64_t> created;
  std::optional<int64_t> expires;
  std::string alg;
  std::string keyid;
};
// At most 16 members; nothing when it is no such dictionary, or has components that are not known
// here (;sf, ;bs, ;req, ;tr, ;key, @status).
std::optional<std::vector<SignatureInput>> parse_signature_input(std::string_view value);
// The bytes of the member `label` of a dictionary of byte sequences: Signature, Content-Digest.
std::optional<std::string> dictionary_bytes(std::string_view value, std::string_view label);

}  // namespace egret::signing
