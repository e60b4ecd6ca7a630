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
#include "bench/transports.hpp"

namespace llep {

namespace {

void print_plan(const std::vector<Case>& cases, const RunOptions& options, const Nodes& nodes) {
  fmt::print("{}{}", explain_auto(options, nodes), describe_heap(cases, options));
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
  void set(const TransportSummary& transport) {
    collectively(world_, [&] {
      if (writer_) writer_->set(transport);
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

/// What a run has for all its cases.
struct Run {
  MpiCommunicator& world;
  Device& device;
  Launcher& launcher;
  SymmetricHeap& heap;
  const Nodes& nodes;
  const RunOptions& options;
};

/// One connected transport at a time: the proxies of another one would disturb what is timed.
class Connection {
 public:
  explicit Connection(const Run& run) : run_(run) {}

  /// Collective. Throws the same on all ranks if the transport cannot be had.
  Transport& use(const std::string& name) {
    if (transport_ && transport_->name() == name) return *transport_;
    close();
    auto next =
        make_transport(name, run_.world, run_.nodes, run_.device.executor(), run_.options);
    next->connect(run_.world, run_.heap);
    transport_ = std::move(next);
    const TransportSummary summary = summarize(run_.world, *transport_, false);
    if (run_.world.rank() == 0 && name != "ipc") {
      fmt::print("transport: {}: {}\n", name, summary.descriptions.front());
      std::fflush(stdout);
    }
    return *transport_;
  }
  /// Collective, all ranks having ended their work.
  void close() {
    if (!transport_) return;
    if (report_ != nullptr) report_->set(summarize(run_.world, *transport_, true));
    transport_->disconnect(run_.world);
    transport_.reset();
  }
  /// Where transports are described once they have run.
  void report_to(Report& report) { report_ = &report; }

 private:
  const Run& run_;
  Report* report_ = nullptr;
  std::unique_ptr<Transport> transport_;
};

/// What this rank knows when its watchdog ends the run.
ErrorRecord hang_of(const Run& run) {
  const FaultRecord fault = read_fault(run.device.faults().record);
  if (fault.phase != WaitPhase::kNone) return error_of(fault, run.options.timeout_ms);
  ErrorRecord error{.phase = "run", .rank = run.world.rank()};
  error.message = fmt::format("rank {}: an iteration did not end, none of its own waits has failed",
                              run.world.rank());
  return error;
}

/// The transport of a case; none: it is skipped, because others are asked for as well.
Transport* connect(Connection& connection, const Case& one, const Run& run, Report& report) {
  try {
    return &connection.use(one.transport);
  } catch (const Error& error) {
    const bool others = run.options.transports.size() > 1;
    if (!others || error.code() != ExitCode::kUnavailable || !error.agreed()) throw;
    report.add(
        {.which = one, .status = CaseStatus::kSkipped, .reason = error.what()});
    return nullptr;
  }
}

ExitCode run_cases(const Run& run, const std::vector<Case>& cases, Connection& connection,
                   Report& report) {
  // The ranks' watchdogs wake at about the same time: each has said what it knows, and rank 0 has
  // written it down, before the first one ends them all.
  constexpr auto kLastWords = std::chrono::seconds(1);
  Watchdog watchdog(run.world.rank(), [&](ExitCode code) {
    report.fail(hang_of(run));
    std::this_thread::sleep_for(kLastWords);
    run.world.abort(code);
  });
  std::uint64_t payload_epoch = 0;
  for (const Case& one : cases) {
    report.begin(one);
    Transport* transport = connect(connection, one, run, report);
    if (transport == nullptr) continue;
    const RankContext context{.world = run.world,
                              .device = run.device,
                              .launcher = run.launcher,
                              .transport = *transport,
                              .heap = run.heap,
                              .nodes = run.nodes};
    const CaseOutcome outcome = run_case(context, watchdog, one, run.options, payload_epoch);
    report.add(outcome.result);
    if (outcome.code == ExitCode::kOk) continue;
    if (run.world.rank() == 0) {
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
  const Nodes nodes = nodes_of(node, options);
  const auto cases =
      same_everywhere([&] { return resolve_auto(expand(options, world.size()), nodes); });
  if (world.rank() == 0) print_plan(cases, options, nodes);
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
  SymmetricHeap heap(world, device, heap_bytes(cases, options),
                     mapped_peers(cases, nodes, world.rank()));

  const Run run{.world = world,
                .device = device,
                .launcher = *launcher,
                .heap = heap,
                .nodes = nodes,
                .options = options};
  Connection connection(run);
  // Without the only transport there is nothing to report.
  if (options.transports.size() == 1) connection.use(cases.front().transport);
  Report report(world, context, options, cases.size());
  connection.report_to(report);
  try {
    const ExitCode code = run_cases(run, cases, connection, report);
    connection.close();
    report.end(code == ExitCode::kOk);
    return code;
  } catch (const Error& error) {
    report.fail({.phase = "run", .message = error.what()});
    if (error.agreed()) connection.close();
    throw;
  }
}

}  // namespace llep
