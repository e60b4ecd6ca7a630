// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/option_keys.hpp"

namespace llep {

/// Variables by name.
using Environment = std::map<std::string, std::string>;
Environment process_environment();

/// What one source says of one key.
struct Setting {
  const OptionKey* key = nullptr;
  std::string origin;  // "--num-tokens", "LLEP_NUM_TOKENS", "config.json: num-tokens"
  std::vector<std::string> values;
};

/// All that one source says of the keys. Throws Error(kUsage) naming what is unknown or of no use.
std::vector<Setting> read_environment(const Environment& environment,
                                      const std::vector<OptionKey>& keys);
std::vector<Setting> read_config(const std::string& path, const std::vector<OptionKey>& keys);

/// Carries the settings of one source into `options`, over what earlier sources said. Throws
/// Error(kUsage), the origin in front.
void apply_settings(const std::vector<Setting>& settings, RunOptions& options);

}  // namespace llep
