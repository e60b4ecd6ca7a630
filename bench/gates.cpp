// SPDX-License-Identifier: MIT
#include "bench/gates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "bench/option_values.hpp"

namespace llep {

namespace {

constexpr std::array kOps = {Op::kDispatch, Op::kCombine, Op::kPair};

std::vector<std::string> parts_of(const std::string& text, std::size_t count, const char* form) {
  auto parts = split(text, ':');
  if (parts.size() != count) usage_error(fmt::format("'{}' is not {}", text, form));
  return parts;
}

}  // namespace

std::optional<double> statistic(const Summary& summary, const std::string& name) {
  const std::array<std::optional<double>, kStatistics.size()> values = {
      summary.min, summary.avg, summary.p50,   summary.p90,
      summary.p95, summary.p99, summary.p99_9, summary.max};
  const auto found = std::find(kStatistics.begin(), kStatistics.end(), name);
  return values.at(static_cast<std::size_t>(found - kStatistics.begin()));
}

std::string to_string(const LatencyGate& gate) {
  return fmt::format("{}:{}:{}", to_string(gate.op), gate.statistic, gate.most_us);
}

std::string to_string(const BandwidthGate& gate) {
  return fmt::format("{}:{}", to_string(gate.op), gate.least_gbps);
}

LatencyGate parse_latency_gate(const std::string& text) {
  const auto parts = parts_of(text, 3, "OP:STATISTIC:US, such as dispatch:p50:40");
  const auto known = std::find(kStatistics.begin(), kStatistics.end(), parts[1]);
  if (known == kStatistics.end()) {
    usage_error(fmt::format("'{}' is not one of {}", parts[1], fmt::join(kStatistics, ", ")));
  }
  return {.op = parse_choice<Op>(parts[0], kOps),
          .statistic = parts[1],
          .most_us = parse_positive(parts[2])};
}

BandwidthGate parse_bandwidth_gate(const std::string& text) {
  const auto parts = parts_of(text, 2, "OP:GBPS, such as dispatch:200");
  return {.op = parse_choice<Op>(parts[0], kOps), .least_gbps = parse_positive(parts[1])};
}

}  // namespace llep
