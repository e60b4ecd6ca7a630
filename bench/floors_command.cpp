// SPDX-License-Identifier: MIT
#include "bench/floors_command.hpp"

#include <fmt/format.h>

#include <string>
#include <variant>
#include <vector>

#include "bench/floors_report.hpp"
#include "bench/session.hpp"
#include "bench/transport_floors.hpp"

namespace llep {

namespace {

/// Rings are measured at this depth as well: it is where queues between GPU and host collapse that
/// do not bear being full.
constexpr int kShallowDepth = 512;

/// Transports as cases, which carry nothing else here.
std::vector<Case> transports_of(const RunOptions& options, const AutoChoice& choice) {
  std::vector<Case> cases;
  for (const std::string& name : options.transports) {
    for (const SignalMode signal : options.signals) {
      cases.push_back({.signal = signal, .transport = name});
    }
  }
  return resolve_auto(cases, choice);
}

/// All there is to know of one transport.
ExitCode measure_all(FloorsInTurn& floors, TransportSettings settings, FloorsReport& report) {
  bool has_shallow_rings = false;
  const ExitCode code =
      floors.measure(settings, [&](const Transport& transport, TransportFloors& of) {
        has_shallow_rings = std::holds_alternative<HybridWire<FifoWire>>(transport.wire()) &&
                            settings.fifo_depth != kShallowDepth;
        ExitCode result = of.wire();
        report.end_wire();
        if (result == ExitCode::kOk) result = of.rings();
        return result == ExitCode::kOk ? of.queues() : result;
      });
  if (code != ExitCode::kOk || !has_shallow_rings) return code;
  settings.fifo_depth = kShallowDepth;
  return floors.again(settings).rings();
}

}  // namespace

ExitCode floors_command(MpiCommunicator& world, const RunOptions& options) {
  same_everywhere([&] { agree_on_options(world, options); });
  const NodeInfo node = node_info(world);
  const Nodes nodes = nodes_of(node, options);
  const AutoChoice choice = choose_auto(world, nodes);
  const std::vector<Case> cases = transports_of(options, choice);
  if (world.rank() == 0) fmt::print("{}", explain_auto(options, choice));

  const Session session = start_session(world, node, options);
  Device& device = *session.chosen.device;
  const PlannedProbes plan = plan_floors(world, *session.launcher, options.sizes);
  SymmetricHeap heap(world, device, plan.fields.total_bytes(),
                     mapped_peers(cases, nodes, world.rank()));
  const Run run{.world = world,
                .device = device,
                .launcher = *session.launcher,
                .heap = heap,
                .nodes = nodes,
                .options = options,
                .gpu_monitor = session.gpu_monitor.get()};
  Connection connection(run);
  // Without the only transport there is nothing to report.
  if (cases.size() == 1) connection.use(settings_of(cases.front(), options));
  FloorsReport report(world, session.context, options);
  FloorsInTurn floors(run, connection, plan.layout, report);
  return connection.run_to_the_end(report, [&] {
    for (const Case& one : cases) {
      const ExitCode code = measure_all(floors, settings_of(one, options), report);
      look_at_gpus(run, connection.watchdog(), report);
      if (code != ExitCode::kOk) return code;
    }
    return ExitCode::kOk;
  });
}

}  // namespace llep
