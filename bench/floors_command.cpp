// SPDX-License-Identifier: MIT
#include "bench/floors_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "bench/connection.hpp"
#include "bench/floors_report.hpp"
#include "bench/local_probes.hpp"
#include "bench/probes.hpp"
#include "bench/queue_probes.hpp"
#include "bench/session.hpp"

namespace llep {

namespace {

/// Rings are measured at this depth as well: it is where queues between GPU and host collapse that
/// do not bear being full.
constexpr int kShallowDepth = 512;
/// What a warp puts at once, where its stage holds it.
constexpr std::uint32_t kChunkBytes = 16 * 1024;

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

/// Collective. Chunks and warps that every rank has.
PlannedProbes plan(Communicator& world, const Launcher& launcher, const RunOptions& options) {
  ProbeAxes axes{.num_ranks = world.size(),
                 .num_warps = launcher.num_warps(),
                 .chunk_bytes = std::min(kChunkBytes, launcher.most_stage_bytes())};
  for (const int warps : gather_all(world, axes.num_warps)) {
    axes.num_warps = std::min(axes.num_warps, warps);
  }
  for (const std::uint32_t bytes : gather_all(world, axes.chunk_bytes)) {
    axes.chunk_bytes = std::min(axes.chunk_bytes, bytes);
  }
  for (const int size : options.sizes) axes.sizes.push_back(put_bytes(size));
  return plan_probes(axes);
}

/// The probes of one connected transport.
class TransportFloors {
 public:
  TransportFloors(const Run& run, Watchdog& watchdog, Transport& transport, SignalMode signal,
                  const ProbeLayout& layout, FloorsReport& report)
      : run_(run),
        signal_(signal),
        layout_(layout),
        report_(report),
        context_{.world = run.world,
                 .device = run.device,
                 .launcher = run.launcher,
                 .transport = transport,
                 .heap = run.heap,
                 .nodes = run.nodes},
        watchdog_(watchdog),
        loop_(context_, watchdog, run.options, layout) {}

  ExitCode devices() { return measure(local_probes(context_)); }
  ExitCode wire() { return carried(wire_probes(context_, layout_, run_.options, progress_)); }
  ExitCode rings() { return carried(ring_probes(context_, progress_)); }
  ExitCode queues() { return carried(queue_probes(context_, run_.options)); }

 private:
  ExitCode carried(std::vector<Probe> probes) {
    for (Probe& probe : probes) probe.floor.signal = signal_;
    return measure(probes);
  }

  ExitCode measure(const std::vector<Probe>& probes) {
    for (const Probe& probe : probes) {
      const ProbeOutcome outcome = loop_.measure(probe);
      look_at_gpus(run_, watchdog_, report_);
      report_.add(outcome.floor, outcome.errors);
      if (outcome.code == ExitCode::kOk) continue;
      print_errors(run_.world, outcome.errors);
      return outcome.code;
    }
    return ExitCode::kOk;
  }

  const Run& run_;
  SignalMode signal_;
  const ProbeLayout& layout_;
  FloorsReport& report_;
  RankContext context_;
  Watchdog& watchdog_;
  ProbeLoop loop_;
  ProbeProgress progress_;
};

/// One transport after the other; the devices themselves with the first that is there.
class AllFloors {
 public:
  AllFloors(const Run& run, const ProbeLayout& layout, Connection& connection, FloorsReport& report)
      : run_(run), layout_(layout), connection_(connection), report_(report) {}

  ExitCode measure(TransportSettings settings) {
    std::string why;
    Transport* transport = connection_.use_if_possible(settings, why);
    if (transport == nullptr) {
      report_.add({.transport = settings.name, .skipped = why, .signal = settings.signal}, {});
      return ExitCode::kOk;
    }
    report_.begin(settings, transport->report().stand_ins);
    const bool has_rings = std::holds_alternative<HybridWire<FifoWire>>(transport->wire());
    {
      TransportFloors floors = of(*transport, settings);
      ExitCode code = devices_known_ ? ExitCode::kOk : floors.devices();
      devices_known_ = true;
      if (code == ExitCode::kOk) code = floors.wire();
      if (code == ExitCode::kOk) code = floors.rings();
      if (code == ExitCode::kOk) code = floors.queues();
      if (code != ExitCode::kOk || !has_rings || settings.fifo_depth == kShallowDepth) return code;
    }
    settings.fifo_depth = kShallowDepth;
    return of(connection_.use(settings), settings).rings();
  }

 private:
  TransportFloors of(Transport& transport, const TransportSettings& settings) {
    return {run_, connection_.watchdog(), transport, settings.signal, layout_, report_};
  }

  const Run& run_;
  const ProbeLayout& layout_;
  Connection& connection_;
  FloorsReport& report_;
  bool devices_known_ = false;
};

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
  const PlannedProbes plan_of_all = plan(world, *session.launcher, options);
  SymmetricHeap heap(world, device, plan_of_all.fields.total_bytes(),
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
  AllFloors floors(run, plan_of_all.layout, connection, report);
  return connection.run_to_the_end(report, [&] {
    for (const Case& one : cases) {
      const ExitCode code = floors.measure(settings_of(one, options));
      if (code != ExitCode::kOk) return code;
    }
    return ExitCode::kOk;
  });
}

}  // namespace llep
