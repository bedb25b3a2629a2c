// Signatures as Stripe, GitHub, Shopify and Slack document theirs.
#include "base/text.h"
#include "proxy/signing/scheme.h"

namespace egret::signing {
namespace {

using policy::SigningScheme;

// docs.stripe.com/webhooks: t=TIMESTAMP,v1=HEX[,v1=HEX…] of "TIMESTAMP.BODY".
class Stripe final : public Scheme {
 public:
  explicit Stripe(ReadyKeys keys) : keys_(std::move(keys)) {}
  std::vector<std::string> owned() const override {
    return {text::to_lower(keys_.front()->key.signature_header)};
  }
  Result<> append(std::string& out, const Message& message, std::string_view timestamp) override {
    out.append(keys_.front()->key.signature_header).append(": t=").append(timestamp);
    const std::string_view parts[] = {timestamp, ".", message.content};
    Result<> signed_ =
        sign_with_each(keys_, message, parts, false,
                       [&out](const ReadyKey&, const ReadySecret&, std::string_view raw) {
                         out.append(",v1=");
                         append_hex(out, raw);
                       });
    out.append("\r\n");
    return signed_;
  }

 private:
  ReadyKeys keys_;
};

// GitHub: sha256=HEX of the body. Shopify: base64 of the same. Slack: v0=HEX of
// "v0:TIMESTAMP:BODY", with the time in a field of its own.
class Single final : public Scheme {
 public:
  explicit Single(ReadyKeys keys) : keys_(std::move(keys)), key_(keys_.front()->key) {}
  std::vector<std::string> owned() const override {
    std::vector<std::string> names = {text::to_lower(key_.signature_header)};
    if (!key_.timestamp_header.empty()) names.push_back(text::to_lower(key_.timestamp_header));
    return names;
  }
  Result<> append(std::string& out, const Message& message, std::string_view timestamp) override {
    const bool slack = key_.scheme == SigningScheme::slack;
    if (slack) {
      out.append(key_.timestamp_header).append(": ").append(timestamp).append("\r\n");
    }
    out.append(key_.signature_header).append(": ");
    const std::string_view of_slack[] = {"v0:", timestamp, ":", message.content};
    const std::string_view of_others[] = {message.content};
    Result<> signed_ =
        sign_with_each(keys_, message, slack ? Parts(of_slack) : Parts(of_others), true,
                       [&](const ReadyKey&, const ReadySecret&, std::string_view raw) {
                         if (key_.scheme == SigningScheme::shopify) {
                           append_base64(out, raw);
                           return;
                         }
                         out.append(slack ? "v0=" : "sha256=");
                         append_hex(out, raw);
                       });
    out.append("\r\n");
    return signed_;
  }

 private:
  ReadyKeys keys_;
  const policy::SigningKey& key_;
};

}  // namespace

std::unique_ptr<Scheme> make_stripe(ReadyKeys keys) {
  return std::make_unique<Stripe>(std::move(keys));
}
std::unique_ptr<Scheme> make_single(ReadyKeys keys) {
  return std::make_unique<Single>(std::move(keys));
}

}  // namespace egret::signing
