#include "proxy/services.h"

#include <algorithm>

namespace egret::proxy {

Policy::Policy(std::shared_ptr<const config::Settings> from, std::vector<policy::Endpoint> own,
               Labels& labels)
    : settings(std::move(from)), judge(settings->judge(std::move(own))) {
  nobody = labels.intern("");
  defaults_label_ = labels.intern(judge.defaults().name);
  largest_head = judge.defaults().limits.headers;
  for (const policy::Rule& rule : judge.rules()) {
    rule_labels_.push_back(labels.intern(rule.name));
    largest_head = std::max<size_t>(largest_head, rule.limits.headers);
  }
  for (const policy::Sender& sender : settings->senders.all()) {
    sender_labels_.push_back(labels.intern(sender.name));
  }
}

Labels::Id Policy::label(const policy::Rule& rule) const {
  const auto& rules = judge.rules();
  if (rules.empty() || &rule < rules.data() || &rule >= rules.data() + rules.size()) {
    return defaults_label_;
  }
  return rule_labels_[static_cast<size_t>(&rule - rules.data())];
}

Labels::Id Policy::label(const policy::Sender& sender) const {
  return sender_labels_[static_cast<size_t>(&sender - settings->senders.all().data())];
}

}  // namespace egret::proxy
