// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/connection.hpp"
#include "bench/probes.hpp"

/// Probes of whole transports, for the commands that measure floors.
namespace llep {

/// Whoever is told what was measured; all calls are collective.
class FloorsSink {
 public:
  virtual ~FloorsSink() = default;
  /// Before the probes of a transport. `stand_ins`: software in place of hardware.
  virtual void begin(const TransportSettings& transport,
                     const std::vector<std::string>& stand_ins) = 0;
  /// A probe's floor; or of a transport that cannot be had the reason.
  virtual void add(const Floor& floor, const std::vector<ErrorRecord>& errors) = 0;
};

/// Collective. Room for messages of these sizes, in chunks and by warps that every rank has.
PlannedProbes plan_floors(Communicator& world, const Launcher& launcher,
                          const std::vector<int>& sizes);

/// The probes of one connected transport. Collective; other than kOk:
/// the errors have been told, the transport may be dead.
class TransportFloors {
 public:
  TransportFloors(const Run& run, Connection& connection, Transport& transport, SignalMode signal,
                  const ProbeLayout& layout, FloorsSink& sink);

  ExitCode devices();  // what has nothing to do with transports
  ExitCode wire();     // all that llep floors wants to know
  ExitCode rates();    // of that, what floors of results are made of
  ExitCode rings();
  ExitCode queues();

 private:
  ExitCode carried(std::vector<Probe> probes);
  ExitCode measure(const std::vector<Probe>& probes);

  const Run& run_;
  SignalMode signal_;
  const ProbeLayout& layout_;
  FloorsSink& sink_;
  RankContext context_;
  ProbeLoop loop_;
  ProbeProgress progress_;
};

/// One transport after the other; the devices themselves with the first that is there.
class FloorsInTurn {
 public:
  /// Samples and sizes are those of run.options.
  FloorsInTurn(const Run& run, Connection& connection, const ProbeLayout& layout, FloorsSink& sink)
      : run_(run), connection_(connection), layout_(layout), sink_(sink) {}

  /// Collective: `work` with the transport connected; nothing where it cannot be had and others are
  /// wanted.
  ExitCode measure(const TransportSettings& settings,
                   const std::function<ExitCode(Transport&, TransportFloors&)>& work);
  /// Of a transport that has been measured with other settings.
  TransportFloors again(const TransportSettings& settings) {
    return of(connection_.use(settings), settings);
  }

 private:
  TransportFloors of(Transport& transport, const TransportSettings& settings) {
    return {run_, connection_, transport, settings.signal, layout_, sink_};
  }

  const Run& run_;
  Connection& connection_;
  const ProbeLayout& layout_;
  FloorsSink& sink_;
  bool devices_known_ = false;
};

}  // namespace llep
