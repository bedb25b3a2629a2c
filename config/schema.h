#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace egret::config {

// Every key that a configuration may have, as dotted paths: "defaults.timeouts.idle". Elements of
// a list are not in the path: "listeners.address". A rule takes `rules.name`, `rules.match` and
// every key of `defaults`; those are not repeated here. docs/configuration.md has a heading for
// each (a test compares them).
std::span<const std::string_view> known_keys();

// The keys of the mapping at `path` ("" is the root), those of `defaults` in a rule included.
std::vector<std::string_view> keys_of(std::string_view path);

// Whether `none` or null may stand for `key` of the mapping at `path`: a rule would inherit it.
bool may_be_none(std::string_view key, std::string_view path);

// What a person who wrote `key` in the mapping at `path` may have meant: a key of that mapping, or
// the path of one further down; empty when nothing is near.
std::string nearest_key(std::string_view key, std::string_view path);

// The nearest of `names` to `name`; empty when none is near.
std::string_view nearest(std::string_view name, std::span<const std::string_view> names);

}  // namespace egret::config
