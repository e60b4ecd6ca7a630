// SPDX-License-Identifier: MIT
#include "bench/floor.hpp"

#include <fmt/format.h>

#include "common/statistics.hpp"

namespace llep {

namespace {

bool is_rate(const Floor& floor) {
  return floor.probe == ProbeKind::kPutStream || floor.probe == ProbeKind::kFifoRate ||
         floor.probe == ProbeKind::kIbgdaRate || floor.probe == ProbeKind::kLocalCopy;
}

}  // namespace

std::string floor_name(const Floor& floor) {
  const std::string transport =
      floor.transport + (floor.signal == SignalMode::kAtomic ? "-atomic" : "");
  if (!floor.skipped.empty()) return transport;
  std::string name = fmt::format("{}/{}/R{}", to_string(floor.probe), transport, floor.num_ranks);
  if (const auto& ring = floor.ring) {
    return name + fmt::format("/depth{}/p{}/w{}/b{}", ring->depth, ring->num_proxies,
                              ring->num_warps, ring->batch);
  }
  name += floor.to ? fmt::format("/{}-{}", *floor.from, *floor.to) : "/all";
  if (floor.bytes) name += fmt::format("/{}", *floor.bytes);
  return floor.num_warps ? name + fmt::format("/w{}", *floor.num_warps) : name;
}

std::optional<Best> trip_us(const Floor& floor) {
  if (is_rate(floor) || floor.round_us.empty()) return std::nullopt;
  const Summary rounds = summarize(floor.round_us);
  return Best{.best = rounds.min / floor.trips, .p50 = rounds.p50 / floor.trips};
}

std::optional<Best> per_second(const Floor& floor) {
  if (!is_rate(floor) || floor.round_us.empty()) return std::nullopt;
  const Summary rounds = summarize(floor.round_us);
  return Best{.best = floor.round_units / rounds.min * 1e6,
              .p50 = floor.round_units / rounds.p50 * 1e6};
}

std::optional<Best> gbps(const Floor& floor) {
  const auto rate = per_second(floor);
  if (!rate || !floor.bytes) return std::nullopt;
  const double giga = static_cast<double>(*floor.bytes) / 1e9;
  return Best{.best = rate->best * giga, .p50 = rate->p50 * giga};
}

}  // namespace llep
