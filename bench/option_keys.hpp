// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/options.hpp"

namespace llep {

/// One option of a subcommand: the same on the command line, in the environment and in a config.
struct OptionKey {
  enum class Kind {
    kFlag,    // true or false; its bare name on the command line means true
    kScalar,  // one value
    kList,    // values separated by commas, or given repeatedly
  };

  std::string name;   // long name, without dashes in front
  std::string brief;  // one letter, or empty
  Kind kind = Kind::kScalar;
  std::string group;   // heading in the help
  std::string values;  // form and unit, for the help
  std::string help;

  /// Throws Error(kUsage) naming the bad value but not the option.
  std::function<void(RunOptions&, const std::vector<std::string>&)> set;
  /// What a config would say to get these options; null: nothing.
  std::function<nlohmann::ordered_json(const RunOptions&)> show;

  /// LLEP_NUM_TOKENS for num-tokens.
  std::string environment_name() const;
};

/// Those of run_keys that say how rows travel.
std::vector<OptionKey> transport_keys();

/// In the order of the help.
const std::vector<OptionKey>& run_keys();
const std::vector<OptionKey>& floors_keys();
const std::vector<OptionKey>& keys_of(Subcommand command);

}  // namespace llep
