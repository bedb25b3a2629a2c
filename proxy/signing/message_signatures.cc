// HTTP Message Signatures (RFC 9421) with Content-Digest (RFC 9530).
#include <algorithm>

#include "base/text.h"
#include "proxy/signing/components.h"
#include "proxy/signing/scheme.h"

namespace egret::signing {
namespace {

bool covers(const policy::SigningKey& key, std::string_view name) {
  const std::vector<std::string> usual = policy::usual_components();
  const std::vector<std::string>& names = key.components.empty() ? usual : key.components;
  return std::ranges::find(names, name) != names.end();
}

// What `key` covers of a message. What is usual and not there, a Content-Type, is left out: the
// receiver sees that it was.
std::vector<Component> components_of(const policy::SigningKey& key, const Covered& message) {
  std::vector<Component> components;
  const bool usual = key.components.empty();
  for (const std::string& name : usual ? policy::usual_components() : key.components) {
    Component component{name, {}};
    if (usual && name == "content-type" && !component_value(component, message)) continue;
    components.push_back(std::move(component));
  }
  return components;
}

std::string params_of(std::span<const Component> components, const policy::SigningKey& key,
                      std::string_view id, WallTime now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
  std::string params = "(";
  for (const Component& component : components) {
    if (params.size() > 1) params += ' ';
    params += component.identifier();
  }
  params.append(");created=").append(std::to_string(seconds));
  if (key.expires) {
    const auto lasts = std::chrono::duration_cast<std::chrono::seconds>(*key.expires).count();
    params.append(";expires=").append(std::to_string(seconds + lasts));
  }
  params += ";keyid=";
  append_sf_string(params, id);
  params += ";alg=";
  append_sf_string(params, to_string(key.algorithm));
  if (!key.tag.empty()) {
    params += ";tag=";
    append_sf_string(params, key.tag);
  }
  return params;
}

// The label of the `index`th signature of a key: its own, with a number from the second on.
std::string label_of(const policy::SigningKey& key, size_t of_key, size_t of_all) {
  if (key.label.empty()) return "sig" + std::to_string(of_all + 1);
  return of_key == 0 ? key.label : key.label + "-" + std::to_string(of_key + 1);
}

class MessageSignatures final : public Scheme {
 public:
  explicit MessageSignatures(ReadyKeys keys) : keys_(std::move(keys)) {
    digests_ = std::ranges::any_of(
        keys_, [](const auto& ready) { return covers(ready->key, "content-digest"); });
  }
  bool covers_fields() const override { return true; }
  std::vector<std::string> owned() const override {
    return {"signature", "signature-input", "content-digest"};
  }
  Result<> append(std::string& out, const Message& message, std::string_view) override {
    std::vector<http::Field> fields(message.fields.begin(), message.fields.end());
    fields.push_back({"webhook-id", message.id});
    std::string digest;
    if (digests_) {
      digest = "sha-256=:";
      append_base64(digest, view(sha256(message.content)));
      digest += ':';
      fields.push_back({"content-digest", digest});
      out.append("Content-Digest: ").append(digest).append("\r\n");
    }
    const Covered covered{message.method, message.url, fields};
    std::string inputs;
    std::string signatures;
    size_t count = 0;
    for (const auto& ready : keys_) {
      Result<> appended = append_of(*ready, covered, message, inputs, signatures, count);
      if (!appended) return appended;
    }
    out.append("Signature-Input: ").append(inputs).append("\r\n");
    out.append("Signature: ").append(signatures).append("\r\n");
    return {};
  }

 private:
  static Result<> append_of(ReadyKey& ready, const Covered& covered, const Message& message,
                            std::string& inputs, std::string& signatures, size_t& count) {
    const std::vector<Component> components = components_of(ready.key, covered);
    size_t of_key = 0;
    Raw raw;
    for (ReadySecret& secret : ready.secrets) {
      if (!secret.active(message.now)) continue;
      const std::string params = params_of(components, ready.key, secret.id(), message.now);
      const Result<std::string> base = signature_base(components, params, covered);
      if (!base) {
        return Unexpected(Reason::signing_failed,
                          "Key " + ready.key.name + ": " + base.error().detail);
      }
      const std::string_view parts[] = {*base};
      if (!secret.of(message.url.host.text)->sign(parts, raw)) {
        return Unexpected(Reason::signing_failed, "The key " + ready.key.name + " cannot sign.");
      }
      const std::string label = label_of(ready.key, of_key++, count++);
      const std::string_view comma = count == 1 ? "" : ", ";
      inputs.append(comma).append(label).append("=").append(params);
      signatures.append(comma).append(label).append("=:");
      append_base64(signatures, raw.view());
      signatures += ':';
    }
    if (of_key > 0) return {};
    return Unexpected(Reason::signing_failed, "No secret of the key " + ready.key.name +
                                                  " is valid now (not_before, not_after).");
  }
  ReadyKeys keys_;
  bool digests_ = false;
};

}  // namespace

std::unique_ptr<Scheme> make_message_signatures(ReadyKeys keys) {
  return std::make_unique<MessageSignatures>(std::move(keys));
}

}  // namespace egret::signing
