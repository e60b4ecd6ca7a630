// SPDX-License-Identifier: MIT
#include "bench/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "bench/failures.hpp"
#include "bench/heap_plan.hpp"
#include "bench/timed_loop.hpp"
#include "bench/traffic.hpp"

namespace llep {

namespace {

/// Adds what the second loop measured to the first's.
void append(CaseOutcome& all, CaseOutcome loop) {
  CaseResult& result = all.result;
  result.which = loop.result.which;
  std::move(loop.result.ops.begin(), loop.result.ops.end(), std::back_inserter(result.ops));
  std::move(loop.result.errors.begin(), loop.result.errors.end(),
            std::back_inserter(result.errors));
  all.code = loop.code;
}

}  // namespace

CaseOutcome run_case(const RankContext& context, Watchdog& watchdog, const Case& one,
                     const RunOptions& options, std::uint64_t& payload_epoch) {
  const auto guard = [&](const char* what) {
    return guard_host_work(watchdog, context.device, options.timeout_ms,
                           fmt::format("{} of {}", what, label(one)));
  };
  std::optional<CaseRun> run;
  {
    const auto guarded = guard("setting up");
    run.emplace(context, CaseSetup{.layout = plan_case(one, options).layout,
                                   .routing = make_routing(one, options, 0, context.world.rank()),
                                   .payload = options.payload,
                                   .seed = options.seed,
                                   .device_clock = options.device_clock});
  }
  TimedLoop loop(context, watchdog, one, options, *run, payload_epoch);
  CaseOutcome outcome;
  outcome.result.which = one;
  outcome.result.load = load_of(run->routing());
  if (one.wants(Op::kDispatch) || one.wants(Op::kCombine)) append(outcome, loop.run(false));
  if (outcome.code == ExitCode::kOk && one.wants(Op::kPair)) append(outcome, loop.run(true));
  if (outcome.code != ExitCode::kOk) {
    outcome.result.status = CaseStatus::kFailed;
    outcome.result.reason = outcome.result.errors.front().message;
  }
  const auto guarded = guard("the end");
  // Nobody frees what a peer's kernel may still write.
  context.device.synchronize();
  context.world.barrier();
  return outcome;
}

}  // namespace llep
