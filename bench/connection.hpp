// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "bench/options.hpp"
#include "bench/report.hpp"
#include "bench/transports.hpp"
#include "common/exec/device.hpp"
#include "common/watchdog.hpp"
#include "kernels/launcher.hpp"

namespace llep {

/// What a command has for all that it measures.
struct Run {
  MpiCommunicator& world;
  Device& device;
  Launcher& launcher;
  SymmetricHeap& heap;
  const Nodes& nodes;
  const RunOptions& options;
  GpuMonitor* gpu_monitor = nullptr;  // null on all ranks, or on none
};

/// Collective, right after work: adds to the report in what state it found the GPUs.
void look_at_gpus(const Run& run, Watchdog& watchdog, Report& report);

/// One connected transport at a time: the proxies of another one would disturb what is timed.
class Connection {
 public:
  explicit Connection(const Run& run);

  /// Collective. Throws the same on all ranks if the transport cannot be had.
  Transport& use(const TransportSettings& settings);
  /// Null if the transport cannot be had while others are asked for as well: then it is skipped,
  /// and `why` says the reason.
  Transport* use_if_possible(const TransportSettings& settings, std::string& why);
  /// Collective, all ranks having ended their work.
  void close();

  /// Ends a run that hangs, once every rank has said what it knows.
  Watchdog& watchdog() { return watchdog_; }
  /// Collective: `work`, with the report ended however it ends.
  ExitCode run_to_the_end(Report& report, const std::function<ExitCode()>& work);

 private:
  std::string label() const;
  void abort(ExitCode code);

  const Run& run_;
  std::atomic<Report*> report_ = nullptr;  // where transports are described once they have run
  TransportSettings settings_;  // of the connected transport
  std::unique_ptr<Transport> transport_;
  Watchdog watchdog_;
};

}  // namespace llep
