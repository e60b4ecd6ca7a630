// SPDX-License-Identifier: MIT
#include "bench/run_floors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/floors_report.hpp"
#include "bench/transport_floors.hpp"

namespace llep {

namespace {

/// Bandwidth is best with large messages, of which one size or the other suits a transport.
const std::vector<int> kSizes = {64 << 10, 256 << 10, 1 << 20};
constexpr int kSamples = 5;

class Collected final : public FloorsSink {
 public:
  Collected(MeasuredFloors& measured, ExecutorKind executor)
      : measured_(measured), executor_(executor) {}

  void begin(const TransportSettings& /*transport*/,
             const std::vector<std::string>& /*stand_ins*/) override {}
  void add(const Floor& floor, const std::vector<ErrorRecord>& errors) override {
    measured_.errors.insert(measured_.errors.end(), errors.begin(), errors.end());
    if (errors.empty()) measured_.floors.add(floor_entry(floor, executor_));
  }

 private:
  MeasuredFloors& measured_;
  ExecutorKind executor_;
};

/// A case of each transport and kind of signal.
std::vector<Case> ways(const std::vector<Case>& cases) {
  std::vector<Case> found;
  for (const Case& one : cases) {
    if (std::none_of(found.begin(), found.end(), [&](const Case& known) {
          return known.transport == one.transport && known.signal == one.signal;
        })) {
      found.push_back(one);
    }
  }
  return found;
}

void print_rates(const Case& way, const FloorRates& rates) {
  fmt::print(
      "floors of {}{}: put {:.2f} GB/s out of each rank, flag {:.2f} us, exchange {:.2f} us, local "
      "memory {:.2f} GB/s, launch {:.2f} us\n",
      way.transport, way.signal == SignalMode::kAtomic ? ", atomic signals" : "", rates.put_gbps,
      rates.flag_us, rates.exchange_us, rates.local_gbps, rates.launch_us);
  std::fflush(stdout);
}

}  // namespace

std::optional<Floors> floors_of_file(const Run& run, const std::vector<Case>& cases,
                                     Connection& connection, const ContextInfo& context) {
  std::optional<Floors> floors;
  if (run.options.floors_path.empty() || run.options.measures_floors()) return floors;
  collectively(run.world, [&] {
    if (run.world.rank() == 0) floors = read_floors(run.options, context);
  });
  for (const Case& way : ways(cases)) {
    std::string why;
    const Transport* transport = connection.use_if_possible(settings_of(way, run.options), why);
    if (transport == nullptr) continue;
    const TransportSummary here = summarize(run.world, *transport, false);
    collectively(run.world, [&] {
      if (floors) floors->need_same_carrier(here);
    });
  }
  return floors;
}

std::optional<PlannedProbes> plan_run_floors(Communicator& world, const Launcher& launcher,
                                             const RunOptions& options) {
  if (!options.measures_floors()) return std::nullopt;
  if (world.size() > 1) return plan_floors(world, launcher, kSizes);
  fmt::print("no floors: one rank sends nothing\n");
  return std::nullopt;
}

MeasuredFloors measure_floors(const Run& run, const std::vector<Case>& cases,
                              Connection& connection, const ProbeLayout& layout) {
  RunOptions few = run.options;
  few.iters = kSamples;
  few.sizes = kSizes;
  const Run probing{.world = run.world,
                    .device = run.device,
                    .launcher = run.launcher,
                    .heap = run.heap,
                    .nodes = run.nodes,
                    .options = few};
  MeasuredFloors measured;
  Collected sink(measured, run.device.executor());
  FloorsInTurn floors(probing, connection, layout, sink);
  for (const Case& way : ways(cases)) {
    measured.code =
        floors.measure(settings_of(way, run.options),
                       [](const Transport&, TransportFloors& of) { return of.rates(); });
    if (measured.code != ExitCode::kOk) break;
    const auto rates = measured.floors.rates(way);
    if (rates && run.world.rank() == 0) print_rates(way, *rates);
  }
  return measured;
}

}  // namespace llep
