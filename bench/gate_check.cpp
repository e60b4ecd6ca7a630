// SPDX-License-Identifier: MIT
#include "bench/gate_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "bench/metrics.hpp"
#include "bench/option_values.hpp"

namespace llep {

namespace {

/// The number that a gate is about; nothing where an op has none.
using Number = std::function<std::optional<double>(const OpResult&)>;

/// `worse(a, b)`: a is worse than b.
GateResult worst_of(const std::vector<CaseResult>& results, const RunOptions& options, Op op,
                    const Number& number, const std::function<bool(double, double)>& worse) {
  GateResult found;
  for (const CaseResult& result : results) {
    const OpResult* measurement = find_op(result, op);
    const bool known = measurement != nullptr && measured(*measurement);
    const std::optional<double> value = known ? number(*measurement) : std::nullopt;
    found.not_measured += value ? 0 : 1;
    if (!value || (found.worst && !worse(*value, *found.worst))) continue;
    found.worst = value;
    found.name = case_name(result.which, op, mode_label(result.which, options),
                           routing_label(result.which, options));
  }
  return found;
}

GateResult check(const LatencyGate& gate, const std::vector<CaseResult>& results,
                 const RunOptions& options) {
  const auto number = [&](const OpResult& op) {
    return statistic(summarize(max_over_ranks(op.us)), gate.statistic);
  };
  GateResult result = worst_of(results, options, gate.op, number, std::greater<>());
  result.gate = "max-latency-us " + to_string(gate);
  result.passed = result.worst && *result.worst <= gate.most_us && result.not_measured == 0;
  return result;
}

GateResult check(const BandwidthGate& gate, const std::vector<CaseResult>& results,
                 const RunOptions& options) {
  const auto number = [](const OpResult& op) -> std::optional<double> {
    const auto value = bandwidth(op.bytes.logical, op.us);
    return value ? std::optional(value->per_rank.avg) : std::nullopt;
  };
  GateResult result = worst_of(results, options, gate.op, number, std::less<>());
  result.gate = "min-bw " + to_string(gate);
  result.passed = result.worst && *result.worst >= gate.least_gbps && result.not_measured == 0;
  return result;
}

void check_op_is_measured(const char* option, const std::string& gate, Op op,
                          const RunOptions& options) {
  if (std::find(options.ops.begin(), options.ops.end(), op) != options.ops.end()) return;
  usage_error(fmt::format("--{}: {}, but --op leaves out {}", option, gate, to_string(op)));
}

}  // namespace

void check_gates_fit(const RunOptions& options) {
  for (const LatencyGate& gate : options.max_latency_us) {
    const std::string text = to_string(gate);
    check_op_is_measured("max-latency-us", text, gate.op, options);
    const int needed = gate.statistic == "p99" ? 100 : gate.statistic == "p99_9" ? 1000 : 1;
    if (options.iters * options.trials >= needed) continue;
    usage_error(fmt::format("--max-latency-us: {} needs {} samples, --iters and --trials give {}",
                            text, needed, options.iters * options.trials));
  }
  for (const BandwidthGate& gate : options.min_bw) {
    check_op_is_measured("min-bw", to_string(gate), gate.op, options);
  }
}

std::vector<GateResult> check_gates(const std::vector<CaseResult>& results,
                                    const RunOptions& options) {
  std::vector<GateResult> all;
  for (const LatencyGate& gate : options.max_latency_us) {
    all.push_back(check(gate, results, options));
  }
  for (const BandwidthGate& gate : options.min_bw) all.push_back(check(gate, results, options));
  return all;
}

std::string gate_line(const GateResult& result) {
  if (!result.worst) return fmt::format("gate {}: missed: nothing was measured\n", result.gate);
  const std::string lacking =
      result.not_measured == 0
          ? ""
          : fmt::format("; {} case{} not measured", result.not_measured,
                        result.not_measured == 1 ? " was" : "s were");
  return fmt::format("gate {}: {}: {:.4g} in {}{}\n", result.gate,
                     result.passed ? "reached" : "missed", *result.worst, result.name, lacking);
}

}  // namespace llep
