// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/key_makers.hpp"

namespace llep {
namespace {

/// Keys of `llep run` that mean the same here: those of whole groups, and some of others.
constexpr std::array kSharedGroups = {"Device", "Transport", "Adapters (verbs)"};
constexpr std::array kSharedKeys = {"transport", "iters",     "timeout-ms",
                                    "json",      "anonymous", "verbose"};

template <std::size_t N>
bool contains(const std::array<const char*, N>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

constexpr int kSignalBytes = 8;
constexpr int kMostBytes = 1 << 30;

/// "64", "64K", "16M".
int parse_size(const std::string& text) {
  const bool kilo = text.ends_with('K');
  const bool mega = text.ends_with('M');
  const int unit = kilo ? 1 << 10 : mega ? 1 << 20 : 1;
  const std::string number = text.substr(0, text.size() - (kilo || mega ? 1 : 0));
  const int bytes = parse_int(number, 1, kMostBytes / unit) * unit;
  if (bytes != kSignalBytes && bytes % 16 != 0) {
    usage_error(fmt::format("'{}' is neither {} nor a multiple of 16", text, kSignalBytes));
  }
  return bytes;
}

std::string size_text(int bytes) {
  if (bytes % (1 << 20) == 0) return fmt::format("{}M", bytes >> 20);
  return bytes % (1 << 10) == 0 ? fmt::format("{}K", bytes >> 10) : std::to_string(bytes);
}

OptionKey sizes_key() {
  OptionKey key;
  key.name = "sizes";
  key.kind = OptionKey::Kind::kList;
  key.group = "Measurement";
  key.values = "LIST";
  key.help = "bytes of messages, multiples of 16; 8: a signal alone";
  key.set = [](RunOptions& options, const std::vector<std::string>& values) {
    options.sizes.clear();
    for (const std::string& value : values) options.sizes.push_back(parse_size(value));
    std::sort(options.sizes.begin(), options.sizes.end());
    const auto twice = std::adjacent_find(options.sizes.begin(), options.sizes.end());
    if (twice != options.sizes.end()) {
      usage_error(fmt::format("'{}' is listed twice", size_text(*twice)));
    }
  };
  key.show = [](const RunOptions& options) {
    auto list = nlohmann::ordered_json::array();
    for (const int bytes : options.sizes) list.push_back(size_text(bytes));
    return list;
  };
  return key;
}

std::vector<OptionKey> make_floors_keys() {
  std::vector<OptionKey> keys;
  for (const OptionKey& key : run_keys()) {
    if (!contains(kSharedGroups, key.group) && !contains(kSharedKeys, key.name)) continue;
    keys.push_back(key);
    if (key.name != "iters") continue;
    keys.back().help = "samples of each probe, of many messages each";
    keys.push_back(sizes_key());
    keys.push_back(flag({"pairs", "", "Measurement", "",
                         "flags and messages of one size between any two ranks as well"},
                        &RunOptions::pairs));
  }
  return keys;
}

}  // namespace

const std::vector<OptionKey>& floors_keys() {
  static const std::vector<OptionKey> keys = make_floors_keys();
  return keys;
}

const std::vector<OptionKey>& keys_of(Subcommand command) {
  return command == Subcommand::kRun ? run_keys() : floors_keys();
}

}  // namespace llep
