// SPDX-License-Identifier: MIT
#include "bench/connection.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "bench/case_errors.hpp"
#include "bench/report_table.hpp"

namespace llep {

namespace {

/// The ranks' watchdogs wake at about the same time: each has said what it knows, and rank 0 has
/// written it down, before the first one ends them all.
constexpr auto kLastWords = std::chrono::seconds(1);

/// What this rank knows when its watchdog ends the run.
ErrorRecord hang_of(const Run& run) {
  const FaultRecord fault = read_fault(run.device.faults().record);
  if (fault.phase != WaitPhase::kNone) return error_of(fault, run.options.timeout_ms);
  ErrorRecord error{.phase = "run", .rank = run.world.rank()};
  error.message = fmt::format("rank {}: an iteration did not end, none of its own waits has failed",
                              run.world.rank());
  return error;
}

}  // namespace

Transport& Connection::use(const TransportSettings& settings) {
  if (transport_ && settings == settings_) return *transport_;
  close();
  auto next =
      make_transport(settings, run_.world, run_.nodes, run_.device.executor(), run_.options);
  next->connect(run_.world, run_.heap);
  transport_ = std::move(next);
  settings_ = settings;
  // There is one way of ipc, and other depths are told by what is measured with them.
  if (settings.name == "ipc" || settings.fifo_depth != run_.options.fifo_depth) return *transport_;
  const TransportSummary summary = summarize(run_.world, *transport_, false);
  if (run_.world.rank() == 0) {
    fmt::print(
        "{}", wrapped(fmt::format("transport: {}: {}", label(), summary.descriptions.front()), ""));
    std::fflush(stdout);
  }
  return *transport_;
}

Transport* Connection::use_if_possible(const TransportSettings& settings, std::string& why) {
  try {
    return &use(settings);
  } catch (const Error& error) {
    const bool others = run_.options.transports.size() * run_.options.signals.size() > 1;
    if (!others || error.code() != ExitCode::kUnavailable || !error.agreed()) throw;
    why = error.what();
    return nullptr;
  }
}

void Connection::close() {
  if (!transport_) return;
  if (report_ != nullptr) {
    TransportSummary summary = summarize(run_.world, *transport_, true);
    summary.name = label();
    report_->set(summary);
  }
  transport_->disconnect(run_.world);
  transport_.reset();
}

std::string Connection::label() const {
  std::string text = settings_.name;
  if (settings_.signal == SignalMode::kAtomic) text += ", atomic signals";
  if (settings_.fifo_depth != run_.options.fifo_depth) {
    text += fmt::format(", depth {}", settings_.fifo_depth);
  }
  return text;
}

ExitCode Connection::run_to_the_end(Report& report, const std::function<ExitCode()>& work) {
  report_ = &report;
  try {
    const ExitCode code = work();
    close();
    report.end(code == ExitCode::kOk);
    return code;
  } catch (const Error& error) {
    report.fail({.phase = "run", .message = error.what()});
    if (error.agreed()) close();
    throw;
  }
}

Watchdog make_watchdog(const Run& run, Report& report) {
  return Watchdog(run.world.rank(), [&run, &report](ExitCode code) {
    report.fail(hang_of(run));
    std::this_thread::sleep_for(kLastWords);
    run.world.abort(code);
  });
}

}  // namespace llep
