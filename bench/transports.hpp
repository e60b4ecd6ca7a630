// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/options.hpp"
#include "bench/sweep.hpp"
#include "common/mpi_session.hpp"
#include "transport/transport.hpp"

/// Which transports there are, which one a case gets, and what it said of itself afterwards.
namespace llep {

/// A transport as the command line names it.
struct TransportName {
  const char* name;
  const char* help;
};
inline constexpr TransportName kTransportNames[] = {
    {"ipc", "stores to peers' memory: CUDA IPC, or shared memory on the host executor; one node"},
    {"fifo", "kernels queue descriptors, proxy threads move the rows over verbs or MPI"},
    {"ibgda", "kernels write the work queue entries of mlx5 adapters; no host thread takes part"},
    {"hybrid-fifo", "ipc inside a node, fifo between nodes"},
    {"hybrid-ibgda", "ipc inside a node, ibgda between nodes"},
};
constexpr const char* to_string(TransportName transport) { return transport.name; }

/// The node of every rank: real, or as --ranks-per-node pretends.
struct Nodes {
  std::vector<int> of_rank;  // [num_ranks]
  int num_nodes = 1;
  bool pretended = false;

  /// Whether the transport moves rows from one rank to another by stores to its memory.
  bool near(const std::string& transport, int from, int to) const;
  /// [num_ranks] of `near` from this rank.
  std::vector<bool> near(const std::string& transport, int rank) const;
};
Nodes nodes_of(const NodeInfo& node, const RunOptions& options);

/// Whether rows wait in a home of this rank for somebody to move them.
inline bool needs_home(const std::string& transport) { return transport != "ipc"; }

/// What "auto" means here.
struct AutoChoice {
  std::string transport;
  std::string reason;
};
/// Collective: one node ipc, several hybrid-ibgda if every rank is ready for it, else hybrid-fifo.
AutoChoice choose_auto(Communicator& world, const Nodes& nodes);

/// Cases with "auto" replaced by what it means here; cases that become equal run once.
std::vector<Case> resolve_auto(const std::vector<Case>& asked, const AutoChoice& choice);
/// What "auto" became and why, one line; empty if nobody asked for it.
std::string explain_auto(const RunOptions& options, const AutoChoice& choice);

/// Peers that at least one of the cases stores to.
std::vector<bool> mapped_peers(const std::vector<Case>& cases, const Nodes& nodes, int rank);

/// What one connection differs by from others of the run.
struct TransportSettings {
  std::string name;
  SignalMode signal = SignalMode::kWrite;
  int channels_per_peer = 1;
  int fifo_depth = 4096;

  friend bool operator==(const TransportSettings&, const TransportSettings&) = default;
};
TransportSettings settings_of(const Case& one, const RunOptions& options);

/// Collective. A transport ready to connect; throws the same Error (kUnavailable) on all ranks if
/// this machine or these ranks cannot have it.
std::unique_ptr<Transport> make_transport(const TransportSettings& settings, Communicator& world,
                                          const Nodes& nodes, ExecutorKind executor,
                                          const RunOptions& options);

/// What all ranks' transports of one name said. Complete on every rank.
struct TransportSummary {
  std::string name;
  std::vector<std::string> descriptions;            // [num_ranks]
  std::vector<std::string> adapters;                // [num_ranks]; empty: no rank has one
  std::vector<std::string> stand_ins;
  std::string far;                                  // what carries rows between nodes, if any
  std::vector<std::vector<std::string>> paths;      // [from][to]; empty: nothing has run yet
  std::vector<std::vector<double>> proxy_cpu;       // [num_ranks][num_proxies] share of a core
};
/// Collective. `ran`: whether the paths say something already.
TransportSummary summarize(Communicator& world, const Transport& transport, bool ran);

}  // namespace llep
