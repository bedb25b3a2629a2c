// Standard Webhooks (github.com/standard-webhooks): v1 and v1a in one field.
#include "base/text.h"
#include "proxy/signing/scheme.h"

namespace egret::signing {
namespace {

class StandardWebhooks final : public Scheme {
 public:
  explicit StandardWebhooks(ReadyKeys keys) : keys_(std::move(keys)) {}
  std::vector<std::string> owned() const override {
    const policy::SigningKey& key = keys_.front()->key;
    return {text::to_lower(key.signature_header), text::to_lower(key.timestamp_header)};
  }
  Result<> append(std::string& out, const Message& message, std::string_view timestamp) override {
    const policy::SigningKey& first = keys_.front()->key;
    out.append(first.timestamp_header).append(": ").append(timestamp).append("\r\n");
    out.append(first.signature_header).append(":");
    const std::string_view parts[] = {message.id, ".", timestamp, ".", message.content};
    Result<> signed_ = sign_with_each(
        keys_, message, parts, false,
        [&out](const ReadyKey& ready, const ReadySecret&, std::string_view raw) {
          const bool pair = ready.key.scheme == policy::SigningScheme::standard_webhooks_ed25519;
          out.append(pair ? " v1a," : " v1,");
          append_base64(out, raw);
        });
    out.append("\r\n");
    return signed_;
  }

 private:
  ReadyKeys keys_;
};

}  // namespace

std::unique_ptr<Scheme> make_standard_webhooks(ReadyKeys keys) {
  return std::make_unique<StandardWebhooks>(std::move(keys));
}

}  // namespace egret::signing
