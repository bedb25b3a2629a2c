#include "proxy/crowd.h"

#include <algorithm>

namespace egret::proxy {

Duration Crowd::wait(const std::string& name, TimePoint now, Duration least) {
  if (last_.size() >= kMost) {
    std::erase_if(last_, [now](const auto& each) { return each.second <= now; });
    if (last_.size() >= kMost) last_.clear();
  }
  TimePoint& last = last_[name];
  last = std::clamp(last + kApart, now + least, now + std::max(least, kLongest));
  return last - now;
}

void Crowd::served(const std::string& name) {
  const auto found = last_.find(name);
  if (found != last_.end()) found->second -= kForOne * kApart;
}

}  // namespace egret::proxy
