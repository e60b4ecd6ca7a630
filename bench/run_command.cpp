// SPDX-License-Identifier: MIT
#include "bench/run_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "bench/report_table.hpp"
#include "bench/result_writer.hpp"
#include "bench/runner.hpp"
#include "bench/session.hpp"
#include "transport/ipc/ipc_transport.hpp"

namespace llep {

namespace {

/// What all cases of a run share.
struct HeapPlan {
  std::uint64_t bytes = 0;
  std::uint64_t signal_bytes = 0;
};

HeapPlan plan_heap(const std::vector<Case>& cases, const RunOptions& options) {
  HeapPlan plan;
  for (const Case& one : cases) {
    plan.signal_bytes = std::max(plan.signal_bytes, case_signal_bytes(one, options));
  }
  for (const Case& one : cases) {
    const PlannedLayout layout = plan_case(one, options, plan.signal_bytes);
    plan.bytes = std::max(plan.bytes, layout.fields.total_bytes());
  }
  return plan;
}

std::string describe_bytes(std::uint64_t bytes) {
  constexpr double kMiB = 1024.0 * 1024.0;
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / kMiB);
}

/// The largest case's heap, field by field, before anything is allocated.
void print_heap(const std::vector<Case>& cases, const RunOptions& options, const HeapPlan& plan) {
  for (const Case& one : cases) {
    const PlannedLayout layout = plan_case(one, options, plan.signal_bytes);
    if (layout.fields.total_bytes() != plan.bytes) continue;
    fmt::print("symmetric heap: {} per rank ({} case{}, the largest T={} H={})\n",
               describe_bytes(plan.bytes), cases.size(), cases.size() == 1 ? "" : "s",
               one.shape.max_tokens, one.shape.hidden);
    if (options.verbose || options.dry_run) {
      for (const HeapField& field : layout.fields.fields()) {
        fmt::print("  {:<24} {:>12}\n", field.name, describe_bytes(field.bytes));
      }
    }
    return;
  }
}

/// `auto` on one node is ipc; several nodes have no transport yet.
void resolve_transports(std::vector<Case>& cases, const NodeInfo& node) {
  for (Case& one : cases) {
    if (node.num_nodes > 1) {
      throw Error(ExitCode::kUnavailable,
                  fmt::format("transport ipc: the ranks run on {} nodes; start them on one",
                              node.num_nodes));
    }
    one.transport = "ipc";
  }
  const auto same = std::unique(cases.begin(), cases.end());
  cases.erase(same, cases.end());
}

/// Table and JSON on rank 0, nothing elsewhere.
class Report {
 public:
  Report(Communicator& world, const ContextInfo& context, const RunOptions& options,
         std::size_t num_cases)
      : world_(world) {
    collectively(world, [&] {
      if (world.rank() != 0) return;
      writer_.emplace(options.json_path.empty() ? default_result_path()
                                                : std::filesystem::path(options.json_path),
                      context, options);
      table_.emplace(context, options, num_cases);
    });
  }
  void begin(const Case& one) {
    if (table_) table_->begin(one);
  }
  void add(const CaseResult& result) {
    collectively(world_, [&] {
      if (!writer_) return;
      table_->add(result);
      writer_->add(result);
    });
  }
  void finish() {
    collectively(world_, [&] {
      if (!writer_) return;
      writer_->finish();
      fmt::print("results: {}\n", writer_->path().string());
    });
  }
  /// The run ends early: what was measured stays, `complete` stays false.
  void fail(const Error& error) {
    ErrorRecord record;
    record.phase = "run";
    record.message = error.what();
    if (writer_) writer_->add(record);
  }

 private:
  Communicator& world_;
  std::optional<ResultWriter> writer_;
  std::optional<TablePrinter> table_;
};

ExitCode run_cases(MpiCommunicator& world, const RankContext& context,
                   const std::vector<Case>& cases, const RunOptions& options,
                   std::uint64_t signal_bytes, Report& report) {
  Watchdog watchdog(world.rank(), [&](ExitCode code) { world.abort(code); });
  for (const Case& one : cases) {
    report.begin(one);
    const CaseOutcome outcome = run_case(context, watchdog, one, options, signal_bytes);
    report.add(outcome.result);
    if (outcome.code == ExitCode::kOk) continue;
    if (world.rank() == 0) {
      for (const ErrorRecord& error : outcome.result.errors) {
        fmt::print(stderr, "llep: {}\n", error.message);
      }
    }
    return outcome.code;
  }
  return ExitCode::kOk;
}

}  // namespace

ExitCode run_command(MpiCommunicator& world, const RunOptions& options) {
  agree_on_options(world, options);
  const NodeInfo node = node_info(world);
  std::vector<Case> cases = expand(options, world.size());
  resolve_transports(cases, node);
  const HeapPlan plan = plan_heap(cases, options);
  if (world.rank() == 0) print_heap(cases, options, plan);
  if (options.dry_run) return ExitCode::kOk;

  const ChosenDevice chosen = choose_device(world, node, options);
  Device& device = *chosen.device;
  device.faults().timeout_ns = static_cast<std::uint64_t>(options.timeout_ms * 1e6);
  std::unique_ptr<Launcher> launcher;
  collectively(world, [&] {
    launcher = make_launcher(device);
    launcher->fill({});  // a GPU that the binary has no code for is known here
    device.synchronize();
  });
  const ContextInfo context = gather_context(world, node, chosen);
  SymmetricHeap heap(world, device, plan.bytes);
  IpcTransport transport;
  transport.connect(world, heap);

  Report report(world, context, options, cases.size());
  const RankContext ranks{.world = world,
                          .device = device,
                          .launcher = *launcher,
                          .transport = transport,
                          .heap = heap};
  try {
    const ExitCode code = run_cases(world, ranks, cases, options, plan.signal_bytes, report);
    report.finish();
    return code;
  } catch (const Error& error) {
    report.fail(error);
    throw;
  }
}

}  // namespace llep
