// SPDX-License-Identifier: MIT
#include "bench/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/option_keys.hpp"

namespace llep {

bool CheckPolicy::checks(int iteration, int num_iterations) const {
  switch (kind) {
    case Kind::kOff: return false;
    case Kind::kOnce: return iteration == 0;
    case Kind::kEvery: return iteration % every == 0 || iteration == num_iterations - 1;
    case Kind::kAll: break;
  }
  return true;
}

std::int64_t MaskSpec::count(std::int64_t num_selections) const {
  if (share == 0.0) return std::min<std::int64_t>(selections, num_selections);
  return std::llround(share * static_cast<double>(num_selections));
}

const char* to_string(DeviceChoice device) {
  switch (device) {
    case DeviceChoice::kAuto: return "auto";
    case DeviceChoice::kCuda: return "cuda";
    case DeviceChoice::kHost: break;
  }
  return "host";
}

const char* to_string(Binding binding) { return binding == Binding::kAuto ? "auto" : "none"; }

const char* to_string(FifoWireChoice wire) {
  switch (wire) {
    case FifoWireChoice::kAuto: return "auto";
    case FifoWireChoice::kVerbs: return "verbs";
    case FifoWireChoice::kMpi: break;
  }
  return "mpi";
}

const char* to_string(Payload payload) { return payload == Payload::kHash ? "hash" : "reference"; }

std::string to_string(const CheckPolicy& check) {
  switch (check.kind) {
    case CheckPolicy::Kind::kOff: return "off";
    case CheckPolicy::Kind::kOnce: return "once";
    case CheckPolicy::Kind::kEvery: return fmt::format("every:{}", check.every);
    case CheckPolicy::Kind::kAll: break;
  }
  return "all";
}

std::string to_string(const MaskSpec& mask) {
  // {:#} keeps the point of a share such as 1.0, which is not the count 1.
  return mask.share == 0.0 ? std::to_string(mask.selections) : fmt::format("{:#}", mask.share);
}

nlohmann::ordered_json to_json(const RunOptions& options) {
  nlohmann::ordered_json json;
  for (const OptionKey& key : keys_of(options.command)) json[key.name] = key.show(options);
  return json;
}

std::string fingerprint(const RunOptions& options) { return to_json(options).dump(); }

}  // namespace llep
