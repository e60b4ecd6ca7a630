// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <optional>
#include <string>

#include "bench/inject.hpp"
#include "common/statistics.hpp"

/// What a run must reach: --max-latency-us and --min-bw. One that is missed ends in exit code 6.
namespace llep {

inline constexpr std::array kStatistics = {"min", "avg", "p50",   "p90",
                                           "p95", "p99", "p99_9", "max"};
/// That statistic; nothing where so few samples have none.
std::optional<double> statistic(const Summary& summary, const std::string& name);

/// A statistic of the cross-rank maximum.
struct LatencyGate {
  Op op = Op::kDispatch;
  std::string statistic = "p50";
  double most_us = 0;

  friend bool operator==(const LatencyGate&, const LatencyGate&) = default;
};

/// GB/s by logical bytes, the mean of the ranks' own.
struct BandwidthGate {
  Op op = Op::kDispatch;
  double least_gbps = 0;

  friend bool operator==(const BandwidthGate&, const BandwidthGate&) = default;
};

/// "dispatch:p50:40", "dispatch:200": the forms that parse_..._gate read.
std::string to_string(const LatencyGate& gate);
std::string to_string(const BandwidthGate& gate);

/// Throw Error(kUsage) with the text and the form that is right.
LatencyGate parse_latency_gate(const std::string& text);
BandwidthGate parse_bandwidth_gate(const std::string& text);

}  // namespace llep
