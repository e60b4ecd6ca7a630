// SPDX-License-Identifier: MIT
#include "bench/transports.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "bench/option_values.hpp"
#include "bench/report_table.hpp"
#include "transport/fifo/fifo_transport.hpp"
#include "transport/fifo/mpi_wire.hpp"
#include "transport/fifo/verbs_wire.hpp"
#include "transport/ibgda/ibgda_transport.hpp"
#include "transport/ipc/ipc_transport.hpp"

namespace llep {

namespace {

std::string node_text(const Nodes& nodes) {
  return fmt::format("{} node{}{}", nodes.num_nodes, nodes.num_nodes == 1 ? "" : "s",
                     nodes.pretended ? " (pretended by --ranks-per-node)" : "");
}

/// What a fifo's proxies use, and why that one where the choice was ours.
struct ChosenWire {
  bool verbs = false;
  std::string reason = {};
};

/// Collective: the first rank's obstacle with its number; empty: no rank has one.
std::string first_obstacle(Communicator& world, const std::optional<std::string>& mine) {
  const auto obstacles = gather_strings(world, mine.value_or(""));
  const auto found = std::find_if(obstacles.begin(), obstacles.end(),
                                  [](const std::string& text) { return !text.empty(); });
  if (found == obstacles.end()) return "";
  return fmt::format("rank {}: {}", found - obstacles.begin(), *found);
}

/// Collective.
FarMemory choose_memory(Communicator& world, bool verbs, MrMode mode) {
  const bool host = mode == MrMode::kHost;
  if (verbs) return {.rows_in_host = host, .posted_in_host = host, .words_in_host = host};
  const auto able = gather_all(world, !host && mpi_moves_gpu_memory() ? 1 : 0);
  const bool all = std::find(able.begin(), able.end(), 0) == able.end();
  return {.rows_in_host = !all, .posted_in_host = true};
}

/// Collective.
ChosenWire choose_wire(Communicator& world, const RunOptions& options) {
  if (options.fifo_wire != FifoWireChoice::kAuto) {
    return {.verbs = options.fifo_wire == FifoWireChoice::kVerbs};
  }
  const std::string obstacle = first_obstacle(world, why_no_verbs());
  if (obstacle.empty()) return {.verbs = true, .reason = "every rank has a port"};
  return {.verbs = false, .reason = obstacle};
}

VerbsOptions verbs_options(const RunOptions& options, SignalMode signal) {
  return {.nic_map = options.nic_map,
          .gid_index = options.gid_index,
          .service_level = options.service_level,
          .traffic_class = options.traffic_class,
          .mr_mode = options.mr_mode,
          .relaxed_ordering = options.relaxed_ordering,
          .signal_atomic = signal == SignalMode::kAtomic,
          .send_depth = options.send_depth,
          .ack_timeout = options.ack_timeout};
}

MakeProxyWires verbs_wires(const VerbsOptions& options, const std::vector<bool>& near) {
  return [=](Communicator& world, const FarHeap& heap, const ChannelMap& map) {
    collectively(world, [&] {
      if (heap.device_memory) heap.device->check_adapter_writes();
    });
    const VerbsRank rank{
        .gpu_pci_bus_id = heap.device->pci_bus_id(),
        .export_dmabuf = [heap] { return heap.device->export_dmabuf(heap.base, heap.bytes); },
        .near = near};
    return make_verbs_wires(options, rank)(world, heap, map);
  };
}

MakeProxyWires saying_why(MakeProxyWires make, const std::string& reason) {
  if (reason.empty()) return make;
  return [=](Communicator& world, const FarHeap& heap, const ChannelMap& map) {
    ProxyWires made = make(world, heap, map);
    made.description += fmt::format(" (auto: {})", reason);
    return made;
  };
}

/// Of ipc and of MPI there is one kind of signal.
void refuse_atomics(const std::string& what, SignalMode signal) {
  if (signal != SignalMode::kAtomic) return;
  Error error(ExitCode::kUnavailable,
              fmt::format("--signal atomic: {} has no atomic signals, verbs have", what));
  error.set_agreed();
  throw error;
}

std::unique_ptr<Transport> make_fifo(const TransportSettings& settings, Communicator& world,
                                     const Nodes& nodes, ExecutorKind executor,
                                     const RunOptions& options) {
  const ChosenWire wire = choose_wire(world, options);
  if (!wire.verbs) refuse_atomics("wire mpi", settings.signal);
  const auto near = nodes.near(settings.name, world.rank());
  const MakeProxyWires make =
      wire.verbs ? verbs_wires(verbs_options(options, settings.signal), near) : make_mpi_wires;
  return std::make_unique<FifoTransport>(
      FifoOptions{.name = settings.name,
                  .wire = wire.verbs ? "verbs" : "mpi",
                  .memory = choose_memory(world, wire.verbs, options.mr_mode),
                  .make_wires = saying_why(make, wire.reason),
                  .near = near,
                  .num_proxies = options.proxy_threads,
                  .channels_per_peer = settings.channels_per_peer,
                  .depth = static_cast<std::uint32_t>(settings.fifo_depth),
                  .from_inputs = options.zero_copy,
                  .naps = executor == ExecutorKind::kHost});
}

std::unique_ptr<Transport> make_ibgda(const TransportSettings& settings, Communicator& world,
                                      const Nodes& nodes, const RunOptions& options) {
  const auto every = static_cast<std::uint32_t>(options.ring_every);
  return make_ibgda_transport({.name = settings.name,
                               .verbs = verbs_options(options, settings.signal),
                               .near = nodes.near(settings.name, world.rank()),
                               .channels_per_peer = settings.channels_per_peer,
                               .policy = {.every = every},
                               .from_inputs = options.zero_copy});
}

}  // namespace

bool Nodes::near(const std::string& transport, int from, int to) const {
  if (from == to || transport == "ipc") return true;
  return transport.starts_with("hybrid-") && of_rank[static_cast<std::size_t>(from)] ==
                                                 of_rank[static_cast<std::size_t>(to)];
}

std::vector<bool> Nodes::near(const std::string& transport, int rank) const {
  std::vector<bool> peers;
  for (int peer = 0; peer < static_cast<int>(of_rank.size()); ++peer) {
    peers.push_back(near(transport, rank, peer));
  }
  return peers;
}

Nodes nodes_of(const NodeInfo& node, const RunOptions& options) {
  Nodes nodes{.of_rank = node.nodes, .num_nodes = node.num_nodes};
  if (options.ranks_per_node == 0) return nodes;
  // Neighbouring ranks share a pretended node as far as they share a real one.
  std::map<std::pair<int, int>, int> numbers;
  for (std::size_t rank = 0; rank < node.nodes.size(); ++rank) {
    const int part = static_cast<int>(rank) / options.ranks_per_node;
    const int next = static_cast<int>(numbers.size());
    nodes.of_rank[rank] = numbers.emplace(std::pair(part, node.nodes[rank]), next).first->second;
  }
  nodes.num_nodes = static_cast<int>(numbers.size());
  nodes.pretended = nodes.num_nodes != node.num_nodes;
  return nodes;
}

AutoChoice choose_auto(Communicator& world, const Nodes& nodes) {
  const std::string where = "the ranks are on " + node_text(nodes);
  if (nodes.num_nodes == 1) return {.transport = "ipc", .reason = where};
  const std::string obstacle = first_obstacle(world, why_no_ibgda());
  if (obstacle.empty()) {
    return {.transport = "hybrid-ibgda", .reason = where + ", every rank has an mlx5 adapter"};
  }
  return {.transport = "hybrid-fifo", .reason = fmt::format("{}; no ibgda: {}", where, obstacle)};
}

std::vector<Case> resolve_auto(const std::vector<Case>& asked, const AutoChoice& choice) {
  std::vector<Case> cases;
  for (Case one : asked) {
    if (one.transport == "auto") one.transport = choice.transport;
    if (std::find(cases.begin(), cases.end(), one) == cases.end()) cases.push_back(one);
  }
  return cases;
}

std::string explain_auto(const RunOptions& options, const AutoChoice& choice) {
  const auto& asked = options.transports;
  if (std::find(asked.begin(), asked.end(), "auto") == asked.end()) return "";
  return wrapped(fmt::format("transport: auto is {}, {}", choice.transport, choice.reason), "");
}

std::vector<bool> mapped_peers(const std::vector<Case>& cases, const Nodes& nodes, int rank) {
  std::vector<bool> mapped(nodes.of_rank.size());
  for (const Case& one : cases) {
    if (one.transport == "ipc" && nodes.num_nodes > 1) continue;
    const auto near = nodes.near(one.transport, rank);
    std::transform(mapped.begin(), mapped.end(), near.begin(), mapped.begin(),
                   std::logical_or<>());
  }
  return mapped;
}

TransportSettings settings_of(const Case& one, const RunOptions& options) {
  const int experts = std::max(1, one.shape.num_local_experts());
  return {.name = one.transport,
          .signal = one.signal,
          .channels_per_peer = options.qps_per_peer == 0 ? experts : options.qps_per_peer,
          .fifo_depth = options.fifo_depth};
}

std::unique_ptr<Transport> make_transport(const TransportSettings& settings, Communicator& world,
                                          const Nodes& nodes, ExecutorKind executor,
                                          const RunOptions& options) {
  if (settings.name.ends_with("fifo")) {
    return make_fifo(settings, world, nodes, executor, options);
  }
  if (settings.name.ends_with("ibgda")) return make_ibgda(settings, world, nodes, options);
  refuse_atomics("transport ipc", settings.signal);
  if (nodes.num_nodes == 1) return std::make_unique<IpcTransport>();
  Error error(ExitCode::kUnavailable,
              fmt::format("transport ipc: the ranks run on {}; start them on one, or use "
                          "--transport hybrid-fifo",
                          node_text(nodes)));
  error.set_agreed();
  throw error;
}

TransportSummary summarize(Communicator& world, const Transport& transport, bool ran) {
  const TransportReport mine = transport.report();
  const nlohmann::json sent = {{"description", mine.description},
                               {"adapter", mine.adapter},
                               {"stand_ins", mine.stand_ins},
                               {"far", mine.far},
                               {"paths", mine.paths},
                               {"proxy_cpu", mine.proxy_cpu}};
  TransportSummary summary{.name = std::string(transport.name())};
  std::set<std::string> stand_ins;
  for (const std::string& text : gather_strings(world, sent.dump())) {
    const auto report = nlohmann::json::parse(text);
    summary.descriptions.push_back(report["description"]);
    if (summary.far.empty()) summary.far = report["far"];
    if (report["adapter"] != "") summary.adapters.push_back(report["adapter"]);
    for (const auto& one : report["stand_ins"]) stand_ins.insert(one.get<std::string>());
    if (!ran) continue;
    summary.paths.push_back(report["paths"]);
    summary.proxy_cpu.push_back(report["proxy_cpu"]);
  }
  summary.stand_ins.assign(stand_ins.begin(), stand_ins.end());
  return summary;
}

}  // namespace llep
