// SPDX-License-Identifier: MIT
#include "bench/local_probes.hpp"

#include <memory>
#include <utility>

namespace llep {

namespace {

/// Beyond the caches: 256 MiB on a GPU, whose L2 cache has 126 MB at most today (B200).
std::size_t bytes_to_copy(const Device& device) {
  return std::size_t{device.executor() == ExecutorKind::kHost ? 32U : 256U} << 20;
}

Probe probe_of(const RankContext& context, ProbeKind kind) {
  return {.floor = {.transport = "local", .probe = kind, .num_ranks = context.world.size()}};
}

Probe empty_launch(const RankContext& context) {
  Probe probe = probe_of(context, ProbeKind::kEmptyLaunch);
  probe.launch = [&launcher = context.launcher](int num_rounds) {
    for (int i = 0; i < num_rounds; ++i) launcher.fill({});
  };
  return probe;
}

struct Copied {
  Memory from;
  Memory to;
};

Probe local_copy(const RankContext& context) {
  const std::size_t bytes = bytes_to_copy(context.device);
  auto copied = std::make_shared<Copied>();
  collectively(context.world, [&] {
    *copied = {context.device.allocate(bytes), context.device.allocate(bytes)};
    context.device.fill(copied->from.get(), 1, bytes);
  });
  Probe probe = probe_of(context, ProbeKind::kLocalCopy);
  probe.floor.bytes = 2 * bytes;  // read and written
  probe.launch = [&device = context.device, copied = std::move(copied), bytes](int num_rounds) {
    for (int i = 0; i < num_rounds; ++i) device.copy(copied->to.get(), copied->from.get(), bytes);
  };
  return probe;
}

}  // namespace

std::vector<Probe> local_probes(const RankContext& context) {
  return {empty_launch(context), local_copy(context)};
}

}  // namespace llep
