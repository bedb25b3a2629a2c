#pragma once

#include <map>
#include <string>

#include "base/clock.h"

namespace egret::proxy {

// Crowd spreads out what waits for a place of the same destination, or in the same share: however
// many lanes wait for it, so many of them a second ask again. One thread.
class Crowd {
 public:
  // Between two that ask again for the same.
  static constexpr Duration kApart = std::chrono::milliseconds(8);
  // So many more may ask at once for each that got its place: those who are served are not kept
  // waiting by those who are not.
  static constexpr int kForOne = 8;
  static constexpr Duration kLongest = std::chrono::minutes(5);
  // Names that are known at once; beyond that it begins anew.
  static constexpr size_t kMost = 10'000;

  // How long one that found no place under this name waits: `least`, and until those before it have
  // asked.
  Duration wait(const std::string& name, TimePoint now, Duration least);
  // One got its place.
  void served(const std::string& name);

 private:
  std::map<std::string, TimePoint> last_;  // asks then
};

}  // namespace egret::proxy
