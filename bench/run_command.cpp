// SPDX-License-Identifier: MIT
#include "bench/run_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "bench/connection.hpp"
#include "bench/gate_check.hpp"
#include "bench/heap_plan.hpp"
#include "bench/report.hpp"
#include "bench/report_table.hpp"
#include "bench/routing_trace.hpp"
#include "bench/run_floors.hpp"
#include "bench/runner.hpp"
#include "bench/samples_writer.hpp"
#include "bench/session.hpp"
#include "bench/trials.hpp"

namespace llep {

namespace {

void print_plan(const std::vector<Case>& cases, const RunOptions& options,
                const AutoChoice& choice) {
  fmt::print("{}{}", explain_auto(options, choice), describe_heap(cases, options));
  std::fflush(stdout);
}

/// Table, JSON and samples.
class RunReport final : public Report {
 public:
  RunReport(Communicator& world, const ContextInfo& context, const RunOptions& options,
            std::size_t num_cases, std::optional<Floors> floors)
      : Report(world), floors_(std::move(floors)) {
    collectively(world, [&] {
      if (world.rank() != 0) return;
      if (!options.samples_path.empty()) samples_.emplace(options);
      writer_.emplace(result_path(options), context, options);
      table_.emplace(context, options, num_cases);
    });
  }
  void use(const MeasuredFloors& measured) {
    collectively(world(), [&] {
      floors_ = measured.floors;
      for (const ErrorRecord& error : measured.errors) {
        if (writer_) writer_->add(error);
      }
    });
  }
  void begin(const Case& one, int trial) {
    if (table_) table_->begin(one, trial);
  }
  /// What one trial of a case gave.
  void add_samples(const CaseResult& result, int trial) {
    collectively(world(), [&] {
      if (samples_) samples_->add(result, trial);
    });
  }
  /// What all its trials gave so far; `whole`: none is to come.
  void put(const CaseResult& result, bool whole) {
    collectively(world(), [&] {
      if (!writer_) return;
      if (whole) table_->add(result);
      if (whole && floors_) fmt::print("{}", floor_lines(result, *floors_));
      writer_->put(result, floors_ ? &*floors_ : nullptr);
    });
  }
  void add(const std::vector<GateResult>& gates) {
    collectively(world(), [&] {
      if (!writer_) return;
      for (const GateResult& gate : gates) fmt::print("{}", gate_line(gate));
      writer_->set(gates);
    });
  }

 private:
  ResultDocument* document() override { return writer_ ? &*writer_ : nullptr; }

  std::optional<Floors> floors_;
  std::optional<SamplesWriter> samples_;
  std::optional<ResultWriter> writer_;
  std::optional<TablePrinter> table_;
};

CaseOutcome run_or_skip(const Run& run, const Case& one, Connection& connection,
                        std::uint64_t& payload_epoch) {
  CaseOutcome skipped{.result = {.which = one, .status = CaseStatus::kSkipped}};
  if (one.mode == Mode::kGraph && run.device.executor() == ExecutorKind::kHost) {
    skipped.result.reason = "the host executor has no graphs";
    return skipped;
  }
  Transport* const transport =
      connection.use_if_possible(settings_of(one, run.options), skipped.result.reason);
  if (transport == nullptr) return skipped;
  const RankContext context{.world = run.world,
                            .device = run.device,
                            .launcher = run.launcher,
                            .transport = *transport,
                            .heap = run.heap,
                            .nodes = run.nodes,
                            .gpu_monitor = run.gpu_monitor};
  return run_case(context, connection.watchdog(), one, run.options, payload_epoch);
}

ExitCode pass_gates(const Run& run, const std::vector<CaseResult>& results, RunReport& report) {
  const std::vector<GateResult> gates = check_gates(results, run.options);
  report.add(gates);
  const bool all = std::all_of(gates.begin(), gates.end(), [](const auto& g) { return g.passed; });
  return all ? ExitCode::kOk : ExitCode::kGateMissed;
}

ExitCode run_cases(const Run& run, const std::vector<Case>& cases, Connection& connection,
                   RunReport& report) {
  std::uint64_t payload_epoch = 0;
  std::vector<CaseResult> results(cases.size());
  for (int trial = 0; trial < run.options.trials; ++trial) {
    for (std::size_t place = 0; place < cases.size(); ++place) {
      const std::size_t at = case_at(place, trial, cases.size());
      report.begin(cases[at], trial);
      CaseOutcome outcome = run_or_skip(run, cases[at], connection, payload_epoch);
      if (outcome.result.status != CaseStatus::kSkipped) {
        look_at_gpus(run, connection.watchdog(), report);
      }
      report.add_samples(outcome.result, trial);
      append_trial(results[at], std::move(outcome.result));
      const bool failed = outcome.code != ExitCode::kOk;
      report.put(results[at], failed || trial + 1 == run.options.trials);
      if (!failed) continue;
      print_errors(run.world, results[at].errors);
      return outcome.code;
    }
  }
  return pass_gates(run, results, report);
}

}  // namespace

ExitCode run_command(MpiCommunicator& world, const RunOptions& options) {
  same_everywhere([&] { agree_on_options(world, options); });
  const NodeInfo node = node_info(world);
  const Nodes nodes = nodes_of(node, options);
  const AutoChoice choice = choose_auto(world, nodes);
  auto cases =
      same_everywhere([&] { return resolve_auto(expand(options, world.size()), choice); });
  load_traces(world, cases);
  if (world.rank() == 0) print_plan(cases, options, choice);
  if (options.dry_run) return ExitCode::kOk;

  Session session = start_session(world, node, options);
  session.context.traces = trace_digests(cases);
  Device& device = *session.chosen.device;
  const auto probes = plan_run_floors(world, *session.launcher, options);
  if (world.rank() == 0) fmt::print("{}", describe_heap_of_floors(cases, options, probes));
  SymmetricHeap heap(world, device, heap_bytes(cases, options, probes),
                     mapped_peers(cases, nodes, world.rank()));

  const Run run{.world = world,
                .device = device,
                .launcher = *session.launcher,
                .heap = heap,
                .nodes = nodes,
                .options = options,
                .gpu_monitor = session.gpu_monitor.get()};
  Connection connection(run);
  // Without the only transport there is nothing to report.
  if (options.transports.size() == 1 && options.signals.size() == 1) {
    connection.use(settings_of(cases.front(), options));
  }
  // What may be refused comes before what leaves a file behind.
  auto floors = floors_of_file(run, cases, connection, session.context);
  RunReport report(world, session.context, options, cases.size(), std::move(floors));
  return connection.run_to_the_end(report, [&] {
    if (probes) {
      const MeasuredFloors measured = measure_floors(run, cases, connection, probes->layout);
      report.use(measured);
      if (measured.code != ExitCode::kOk) return measured.code;
    }
    return run_cases(run, cases, connection, report);
  });
}

}  // namespace llep
