// SPDX-License-Identifier: MIT
#include "bench/option_sources.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "bench/option_values.hpp"
#include "common/error.hpp"

namespace llep {
namespace {

using Json = nlohmann::ordered_json;

const OptionKey* find_key(const std::string& name, const std::vector<OptionKey>& keys) {
  const auto found = std::find_if(keys.begin(), keys.end(),
                                  [&](const OptionKey& key) { return key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

Json load(const std::string& path) {
  std::ifstream file(path);
  if (!file) usage_error(fmt::format("config {}: {}", path, std::strerror(errno)));
  try {
    return Json::parse(file);
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 3, ...": the bracket helps nobody.
    std::string_view what = error.what();
    what.remove_prefix(std::min(what.size(), what.find("] ") + 2));
    usage_error(fmt::format("config {}: {}", path, what));
  }
}

std::vector<std::string> config_values(const Json& value, const std::string& origin) {
  if (value.is_string()) return {value.get<std::string>()};
  if (value.is_boolean() || value.is_number()) return {value.dump()};
  if (!value.is_array()) {
    usage_error(origin + ": neither a number, a string, true, false nor a list of these");
  }
  std::vector<std::string> values;
  for (const Json& element : value) {
    if (element.is_array()) usage_error(origin + ": a list inside a list");
    values.push_back(config_values(element, origin).front());
  }
  return values;
}

/// Lists may come as one text with commas from every source.
std::vector<std::string> as_list(const std::vector<std::string>& values) {
  std::vector<std::string> list;
  for (const std::string& value : values) {
    const auto parts = split(value, ',');
    list.insert(list.end(), parts.begin(), parts.end());
  }
  return list;
}

void apply_one(const Setting& setting, RunOptions& options) {
  const bool list = setting.key->kind == OptionKey::Kind::kList;
  const auto values = list ? as_list(setting.values) : setting.values;
  if (values.empty()) usage_error("an empty list");
  if (!list && values.size() > 1) {
    usage_error(fmt::format("takes one value, {} are given", values.size()));
  }
  setting.key->set(options, values);
}

}  // namespace

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

std::vector<Setting> read_environment(const Environment& environment,
                                      const std::vector<OptionKey>& keys) {
  std::vector<Setting> settings;
  for (const OptionKey& key : keys) {
    const auto found = environment.find(key.environment_name());
    if (found == environment.end() || found->second.empty()) continue;  // empty: as if unset
    settings.push_back({&key, key.environment_name(), {found->second}});
  }
  return settings;
}

std::vector<Setting> read_config(const std::string& path, const std::vector<OptionKey>& keys) {
  const Json config = load(path);
  if (!config.is_object()) usage_error(fmt::format("config {}: not an object of keys", path));
  std::vector<Setting> settings;
  for (const auto& [name, value] : config.items()) {
    const OptionKey* key = find_key(name, keys);
    if (key == nullptr) usage_error(fmt::format("config {}: unknown key '{}'", path, name));
    if (value.is_null()) continue;  // as if not there
    const std::string origin = fmt::format("config {}: {}", path, name);
    settings.push_back({key, origin, config_values(value, origin)});
  }
  return settings;
}

void apply_settings(const std::vector<Setting>& settings, RunOptions& options) {
  const auto says = [&](std::string_view name) {
    return std::any_of(settings.begin(), settings.end(),
                       [&](const Setting& setting) { return setting.key->name == name; });
  };
  if (says("num-experts") && says("experts-per-rank")) {
    usage_error(fmt::format("{}: num-experts and experts-per-rank exclude each other",
                            settings.front().origin));
  }
  for (const Setting& setting : settings) {
    try {
      apply_one(setting, options);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: {}", setting.origin, error.what()));
    }
  }
}

}  // namespace llep
