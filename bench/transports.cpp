// SPDX-License-Identifier: MIT
#include "bench/transports.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "bench/option_values.hpp"
#include "transport/fifo/fifo_transport.hpp"
#include "transport/fifo/mpi_wire.hpp"
#include "transport/ipc/ipc_transport.hpp"

namespace llep {

namespace {

const char* auto_choice(const Nodes& nodes) { return nodes.num_nodes == 1 ? "ipc" : "hybrid-fifo"; }

std::string node_text(const Nodes& nodes) {
  return fmt::format("{} node{}{}", nodes.num_nodes, nodes.num_nodes == 1 ? "" : "s",
                     nodes.pretended ? " (pretended by --ranks-per-node)" : "");
}

FifoOptions fifo_options(const std::string& name, const Nodes& nodes, int rank,
                         ExecutorKind executor, const RunOptions& options) {
  return {.name = name,
          .wire = "mpi",
          .host_memory = true,
          .make_wires = make_mpi_wires,
          .near = nodes.near(name, rank),
          .num_proxies = options.proxy_threads,
          .channels_per_peer = options.qps_per_peer,
          .depth = static_cast<std::uint32_t>(options.fifo_depth),
          .from_inputs = options.zero_copy,
          .naps = executor == ExecutorKind::kHost};
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
  std::set<std::pair<int, int>> seen;
  for (std::size_t rank = 0; rank < node.nodes.size(); ++rank) {
    const int part = static_cast<int>(rank) / options.ranks_per_node;
    seen.emplace(part, node.nodes[rank]);
    nodes.of_rank[rank] = static_cast<int>(seen.size()) - 1;
  }
  nodes.num_nodes = static_cast<int>(seen.size());
  nodes.pretended = nodes.num_nodes != node.num_nodes;
  return nodes;
}

std::vector<Case> resolve_auto(const std::vector<Case>& asked, const Nodes& nodes) {
  std::vector<Case> cases;
  for (Case one : asked) {
    if (one.transport == "auto") one.transport = auto_choice(nodes);
    if (std::find(cases.begin(), cases.end(), one) == cases.end()) cases.push_back(one);
  }
  return cases;
}

std::string explain_auto(const RunOptions& options, const Nodes& nodes) {
  const auto& asked = options.transports;
  if (std::find(asked.begin(), asked.end(), "auto") == asked.end()) return "";
  return fmt::format("transport: auto is {}, the ranks are on {}\n", auto_choice(nodes),
                     node_text(nodes));
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

std::unique_ptr<Transport> make_transport(const std::string& name, MpiCommunicator& world,
                                          const Nodes& nodes, ExecutorKind executor,
                                          const RunOptions& options) {
  if (name != "ipc") {
    return std::make_unique<FifoTransport>(
        fifo_options(name, nodes, world.rank(), executor, options));
  }
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
                               {"stand_ins", mine.stand_ins},
                               {"paths", mine.paths},
                               {"proxy_cpu", mine.proxy_cpu}};
  TransportSummary summary{.name = std::string(transport.name())};
  std::set<std::string> stand_ins;
  for (const std::string& text : gather_strings(world, sent.dump())) {
    const auto report = nlohmann::json::parse(text);
    summary.descriptions.push_back(report["description"]);
    for (const auto& one : report["stand_ins"]) stand_ins.insert(one.get<std::string>());
    if (!ran) continue;
    summary.paths.push_back(report["paths"]);
    summary.proxy_cpu.push_back(report["proxy_cpu"]);
  }
  summary.stand_ins.assign(stand_ins.begin(), stand_ins.end());
  return summary;
}

}  // namespace llep
