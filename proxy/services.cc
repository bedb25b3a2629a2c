#include "proxy/services.h"

#include <algorithm>

namespace egret::proxy {

Policy::Policy(std::shared_ptr<const config::Settings> from, std::vector<policy::Endpoint> own,
               Labels& labels, const TlsRoots& roots)
    : settings(std::move(from)), judge(settings->judge(std::move(own))), ways(*settings, roots) {
  nobody = labels.intern("");
  outgoing_.push_back(std::make_unique<Outgoing>(judge.defaults(), settings->keys));
  defaults_label_ = labels.intern(judge.defaults().name);
  largest_head = judge.defaults().limits.headers;
  for (const policy::Rule& rule : judge.rules()) {
    rule_labels_.push_back(labels.intern(rule.name));
    outgoing_.push_back(std::make_unique<Outgoing>(rule, settings->keys));
    largest_head = std::max<size_t>(largest_head, rule.limits.headers);
  }
  for (const policy::Sender& sender : settings->senders.all()) {
    sender_labels_.push_back(labels.intern(sender.name));
  }
}

size_t Policy::position(const policy::Rule& rule) const {
  const auto& rules = judge.rules();
  if (rules.empty() || &rule < rules.data() || &rule >= rules.data() + rules.size()) return 0;
  return static_cast<size_t>(&rule - rules.data()) + 1;
}

Labels::Id Policy::label(const policy::Rule& rule) const {
  const size_t at = position(rule);
  return at == 0 ? defaults_label_ : rule_labels_[at - 1];
}

const ReadyWay& Policy::way(const policy::Rule& rule) const { return ways.way(position(rule)); }

const Outgoing& Policy::outgoing(const policy::Rule& rule) const {
  return *outgoing_[position(rule)];
}

Labels::Id Policy::label(const policy::Sender& sender) const {
  return sender_labels_[static_cast<size_t>(&sender - settings->senders.all().data())];
}

}  // namespace egret::proxy
