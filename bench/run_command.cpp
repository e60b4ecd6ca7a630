// SPDX-License-Identifier: MIT
#include "bench/run_command.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <optional>
#include <string>

#include "bench/connection.hpp"
#include "bench/heap_plan.hpp"
#include "bench/report.hpp"
#include "bench/report_table.hpp"
#include "bench/routing_trace.hpp"
#include "bench/runner.hpp"
#include "bench/session.hpp"

namespace llep {

namespace {

void print_plan(const std::vector<Case>& cases, const RunOptions& options,
                const AutoChoice& choice) {
  fmt::print("{}{}", explain_auto(options, choice), describe_heap(cases, options));
  std::fflush(stdout);
}

/// Table and JSON.
class RunReport final : public Report {
 public:
  RunReport(Communicator& world, const ContextInfo& context, const RunOptions& options,
            std::size_t num_cases)
      : Report(world) {
    collectively(world, [&] {
      if (world.rank() != 0) return;
      writer_.emplace(result_path(options), context, options);
      table_.emplace(context, options, num_cases);
    });
  }
  void begin(const Case& one) {
    if (table_) table_->begin(one);
  }
  void add(const CaseResult& result) {
    collectively(world(), [&] {
      if (!writer_) return;
      table_->add(result);
      writer_->add(result);
    });
  }

 private:
  ResultDocument* document() override { return writer_ ? &*writer_ : nullptr; }

  std::optional<ResultWriter> writer_;
  std::optional<TablePrinter> table_;
};

ExitCode run_cases(const Run& run, const std::vector<Case>& cases, Connection& connection,
                   RunReport& report) {
  std::uint64_t payload_epoch = 0;
  for (const Case& one : cases) {
    report.begin(one);
    std::string why;
    Transport* transport = nullptr;
    if (one.mode == Mode::kGraph && run.device.executor() == ExecutorKind::kHost) {
      why = "the host executor has no graphs";
    } else {
      transport = connection.use_if_possible(settings_of(one, run.options), why);
    }
    if (transport == nullptr) {
      report.add({.which = one, .status = CaseStatus::kSkipped, .reason = why});
      continue;
    }
    const RankContext context{.world = run.world,
                              .device = run.device,
                              .launcher = run.launcher,
                              .transport = *transport,
                              .heap = run.heap,
                              .nodes = run.nodes};
    const CaseOutcome outcome =
        run_case(context, connection.watchdog(), one, run.options, payload_epoch);
    report.add(outcome.result);
    if (outcome.code == ExitCode::kOk) continue;
    print_errors(run.world, outcome.result.errors);
    return outcome.code;
  }
  return ExitCode::kOk;
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

  const Session session = start_session(world, node, options);
  Device& device = *session.chosen.device;
  SymmetricHeap heap(world, device, heap_bytes(cases, options),
                     mapped_peers(cases, nodes, world.rank()));

  const Run run{.world = world,
                .device = device,
                .launcher = *session.launcher,
                .heap = heap,
                .nodes = nodes,
                .options = options};
  Connection connection(run);
  // Without the only transport there is nothing to report.
  if (options.transports.size() == 1 && options.signals.size() == 1) {
    connection.use(settings_of(cases.front(), options));
  }
  RunReport report(world, session.context, options, cases.size());
  return connection.run_to_the_end(
      report, [&] { return run_cases(run, cases, connection, report); });
}

}  // namespace llep
