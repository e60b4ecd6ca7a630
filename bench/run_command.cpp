// SPDX-License-Identifier: MIT
#include "bench/run_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "bench/case_errors.hpp"
#include "bench/heap_plan.hpp"
#include "bench/report_table.hpp"
#include "bench/result_writer.hpp"
#include "bench/runner.hpp"
#include "bench/session.hpp"
#include "transport/ipc/ipc_transport.hpp"

namespace llep {

namespace {

/// `auto` on one node is ipc; several nodes have no transport yet. Cases that it makes equal run
/// once.
std::vector<Case> resolve_transports(const std::vector<Case>& asked, const NodeInfo& node) {
  if (node.num_nodes > 1) {
    throw Error(ExitCode::kUnavailable,
                fmt::format("transport ipc: the ranks run on {} nodes; start them on one",
                            node.num_nodes));
  }
  std::vector<Case> cases;
  for (Case one : asked) {
    one.transport = "ipc";
    if (std::find(cases.begin(), cases.end(), one) == cases.end()) cases.push_back(one);
  }
  return cases;
}

void print_plan(const std::vector<Case>& cases, const RunOptions& options) {
  const auto& asked = options.transports;
  if (std::find(asked.begin(), asked.end(), "auto") != asked.end()) {
    fmt::print("transport: auto is ipc, all ranks are on one node\n");
  }
  fmt::print("{}", describe_heap(cases, options));
  std::fflush(stdout);
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
  /// `complete`: all cases ran.
  void end(bool complete) {
    collectively(world_, [&] {
      if (!writer_) return;
      if (complete) writer_->finish();
      print_path(complete);
    });
  }
  /// The run ends early: what was measured stays, `complete` stays false. Keeps its own failure to
  /// itself, the error is the one to tell. Does not communicate.
  void fail(const ErrorRecord& error) noexcept try {
    if (!writer_) return;
    writer_->add(error);
    print_path(false);
  } catch (const std::exception&) {
  }

 private:
  void print_path(bool complete) const {
    fmt::print("results{}: {}\n", complete ? "" : " (incomplete)", writer_->path().string());
    std::fflush(stdout);
  }

  Communicator& world_;
  std::optional<ResultWriter> writer_;
  std::optional<TablePrinter> table_;
};

/// What this rank knows when its watchdog ends the run.
ErrorRecord hang_of(const RankContext& context, const RunOptions& options) {
  const FaultRecord fault = read_fault(context.device.faults().record);
  if (fault.phase != WaitPhase::kNone) return error_of(fault, options.timeout_ms);
  ErrorRecord error{.phase = "run", .rank = context.world.rank()};
  error.message = fmt::format("rank {}: an iteration did not end, none of its own waits has failed",
                              context.world.rank());
  return error;
}

ExitCode run_cases(MpiCommunicator& world, const RankContext& context,
                   const std::vector<Case>& cases, const RunOptions& options,
                   Report& report) {
  // The ranks' watchdogs wake at about the same time: each has said what it knows, and rank 0 has
  // written it down, before the first one ends them all.
  constexpr auto kLastWords = std::chrono::seconds(1);
  Watchdog watchdog(world.rank(), [&](ExitCode code) {
    report.fail(hang_of(context, options));
    std::this_thread::sleep_for(kLastWords);
    world.abort(code);
  });
  std::uint64_t payload_epoch = 0;
  for (const Case& one : cases) {
    report.begin(one);
    const CaseOutcome outcome = run_case(context, watchdog, one, options, payload_epoch);
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
  same_everywhere([&] { agree_on_options(world, options); });
  const NodeInfo node = node_info(world);
  const auto cases = same_everywhere(
      [&] { return resolve_transports(expand(options, world.size()), node); });
  if (world.rank() == 0) print_plan(cases, options);
  if (options.dry_run) return ExitCode::kOk;

  const ChosenDevice chosen =
      same_everywhere([&] { return choose_device(world, node, options); });
  Device& device = *chosen.device;
  device.faults().timeout_ns = static_cast<std::uint64_t>(options.timeout_ms * 1e6);
  std::unique_ptr<Launcher> launcher;
  collectively(world, [&] {
    launcher = make_launcher(device);
    launcher->fill({});  // a GPU that the binary has no code for is known here
    device.synchronize();
  });
  const ContextInfo context = gather_context(world, node, chosen);
  if (options.verbose && world.rank() == 0) {
    fmt::print("{}", rank_lines(context, options.anonymous));
  }
  SymmetricHeap heap(world, device, heap_bytes(cases, options));
  IpcTransport transport;
  transport.connect(world, heap);

  Report report(world, context, options, cases.size());
  const RankContext ranks{.world = world,
                          .device = device,
                          .launcher = *launcher,
                          .transport = transport,
                          .heap = heap};
  try {
    const ExitCode code = run_cases(world, ranks, cases, options, report);
    report.end(code == ExitCode::kOk);
    transport.disconnect(world);
    return code;
  } catch (const Error& error) {
    report.fail({.phase = "run", .message = error.what()});
    if (error.agreed()) transport.disconnect(world);
    throw;
  }
}

}  // namespace llep
