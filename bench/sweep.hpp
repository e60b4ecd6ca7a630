// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/options.hpp"
#include "common/axes.hpp"

namespace llep {

struct Trace;

/// One combination of the axes. Its ops are timed within: dispatch and combine in one loop, pair
/// in its own.
struct Case {
  MoeShape shape = {};
  DispatchDtype dtype = DispatchDtype::kBf16;
  DispatchCopies copies = DispatchCopies::kRank;
  Phases phases = Phases::kFused;
  Mode mode = Mode::kPaired;
  SignalMode signal = SignalMode::kWrite;
  std::string transport = "auto";  // as asked for; results carry what "auto" became
  RoutingPattern routing = {};
  std::shared_ptr<const Trace> trace = {};  // of the routing, once load_traces has read it
  std::vector<Op> ops = {};                 // each once, in the order of the enum

  bool wants(Op op) const;
  friend bool operator==(const Case&, const Case&) = default;
};

/// The cross product of the axes, tokens varying fastest, transports slowest. Reads no trace.
/// Throws Error(kUsage) with the option and value that do not fit the ranks or each other.
std::vector<Case> expand(const RunOptions& options, int num_ranks);

/// For people: "ipc bf16 rank fused paired E256 K8 H7168 T128", and the routing if not uniform.
std::string label(const Case& one);

/// The stable name of a measurement:
/// op/transport/dtype/copies/phases/mode/R4/E256/K8/H7168/T128/routing.
std::string case_name(const Case& one, Op op, const std::string& mode, const std::string& routing);

/// How ops were timed: "paired", "chained" or "graph", and "-zero-copy" where combine reads the send
/// window, "-atomic" where signals are atomics.
std::string mode_label(const Case& one, const RunOptions& options);

/// "uniform", with what else shapes the traffic: "uniform-mask10-uneven-fresh".
std::string routing_label(const Case& one, const RunOptions& options);

}  // namespace llep
