// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>

#include "bench/context.hpp"
#include "bench/options.hpp"
#include "bench/result.hpp"
#include "bench/transports.hpp"

/// What an op would cost if nothing but the hardware took time: bytes through the wire and local
/// memory at the rates that `llep floors` reached, one flag, one launch.
namespace llep {

/// What floors of one transport say. Best samples, as a floor should be.
struct FloorRates {
  double put_gbps = 0;     // out of one rank while all put to all others
  double flag_us = 0;      // one way, between the slowest pair
  double exchange_us = 0;  // 16 KiB and a flag from every rank to every other
  double local_gbps = 0;   // read and written, in a device's own memory
  double launch_us = 0;    // of an empty kernel
};

/// What is known of the hardware of this run.
class Floors {
 public:
  /// `source`: "measured", or the name of a file.
  explicit Floors(std::string source) : source_(std::move(source)) {}

  const std::string& source() const { return source_; }
  /// An entry of `floors` in the results of llep floors.
  void add(const nlohmann::ordered_json& entry);
  /// What the file says of a transport, in `context.transports`.
  void add_carrier(const nlohmann::ordered_json& transport, const nlohmann::ordered_json& context);
  /// Rows of a transport must be carried by what its floors were measured with. Throws Error(kUsage).
  void need_same_carrier(const TransportSummary& here) const;
  /// Nothing where the transport or one of its probes was not measured.
  std::optional<FloorRates> rates(const Case& one) const;

 private:
  struct Known {
    FloorRates rates;
    double message_us = 0;  // of 16 KiB and a flag one way, where there is no exchange
  };

  std::string source_;
  std::map<std::string, Known> known_;  // by transport, with "-atomic"
  std::map<std::string, std::string> carriers_;  // by transport: "fifo-verbs over rxe"
};

/// The file of --floors. Throws Error(kUsage) in one line: what cannot be read, or other ranks,
/// nodes, devices, executors than those of this run.
Floors read_floors(const RunOptions& options, const ContextInfo& context);

/// A floor and what it is made of.
struct CaseFloor {
  FloorRates rates;
  double wire_us = 0;    // of the rank for which wire and local memory together take longest
  double memory_us = 0;  // of the same rank
  double device_us = 0;  // from the first kernel's start to the last one's end
  double host_us = 0;    // and launches
  const char* limited_by = "";  // "wire", "memory", "flag", "launch" or "exchange"
  std::string formula;          // of host_us, in the words of the results file
};
std::optional<CaseFloor> floor_of(const OpResult& op, const Case& one, const Floors& floors);

/// Median of the cross-rank maximum over the floor of the same clock.
double floor_ratio(const OpResult& op, const CaseFloor& floor);
std::optional<double> device_floor_ratio(const OpResult& op, const CaseFloor& floor);

/// "  dispatch: 2.13 x its floor of 13.1 us, limited by wire; device clock 1.71 x 9.5 us", of each
/// measured op.
std::string floor_lines(const CaseResult& result, const Floors& floors);

}  // namespace llep
