// SPDX-License-Identifier: MIT
#include "bench/transport_floors.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "bench/local_probes.hpp"
#include "bench/queue_probes.hpp"

namespace llep {

namespace {

/// What a warp puts at once, where its stage holds it.
constexpr std::uint32_t kChunkBytes = 16 * 1024;

}  // namespace

PlannedProbes plan_floors(Communicator& world, const Launcher& launcher,
                          const std::vector<int>& sizes) {
  ProbeAxes axes{.num_ranks = world.size(),
                 .num_warps = launcher.num_warps(),
                 .chunk_bytes = std::min(kChunkBytes, launcher.most_stage_bytes())};
  for (const int warps : gather_all(world, axes.num_warps)) {
    axes.num_warps = std::min(axes.num_warps, warps);
  }
  for (const std::uint32_t bytes : gather_all(world, axes.chunk_bytes)) {
    axes.chunk_bytes = std::min(axes.chunk_bytes, bytes);
  }
  for (const int size : sizes) axes.sizes.push_back(put_bytes(size));
  return plan_probes(axes);
}

TransportFloors::TransportFloors(const Run& run, Connection& connection, Transport& transport,
                                 SignalMode signal, const ProbeLayout& layout, FloorsSink& sink)
    : run_(run),
      signal_(signal),
      layout_(layout),
      sink_(sink),
      context_{.world = run.world,
               .device = run.device,
               .launcher = run.launcher,
               .transport = transport,
               .heap = run.heap,
               .nodes = run.nodes},
      loop_(context_, connection.watchdog(), run.options, layout) {}

ExitCode TransportFloors::devices() { return measure(local_probes(context_)); }
ExitCode TransportFloors::wire() {
  return carried(wire_probes(context_, layout_, run_.options, progress_));
}
ExitCode TransportFloors::rates() {
  return carried(rate_probes(context_, layout_, run_.options, progress_));
}
ExitCode TransportFloors::rings() { return carried(ring_probes(context_, progress_)); }
ExitCode TransportFloors::queues() { return carried(queue_probes(context_, run_.options)); }

ExitCode TransportFloors::carried(std::vector<Probe> probes) {
  for (Probe& probe : probes) probe.floor.signal = signal_;
  return measure(probes);
}

ExitCode TransportFloors::measure(const std::vector<Probe>& probes) {
  for (const Probe& probe : probes) {
    const ProbeOutcome outcome = loop_.measure(probe);
    sink_.add(outcome.floor, outcome.errors);
    if (outcome.code == ExitCode::kOk) continue;
    print_errors(run_.world, outcome.errors);
    return outcome.code;
  }
  return ExitCode::kOk;
}

ExitCode FloorsInTurn::measure(const TransportSettings& settings,
                               const std::function<ExitCode(Transport&, TransportFloors&)>& work) {
  std::string why;
  Transport* transport = connection_.use_if_possible(settings, why);
  if (transport == nullptr) {
    sink_.add({.transport = settings.name, .skipped = why, .signal = settings.signal}, {});
    return ExitCode::kOk;
  }
  sink_.begin(settings, transport->report().stand_ins);
  TransportFloors floors = of(*transport, settings);
  const ExitCode code = devices_known_ ? ExitCode::kOk : floors.devices();
  devices_known_ = true;
  return code == ExitCode::kOk ? work(*transport, floors) : code;
}

}  // namespace llep
