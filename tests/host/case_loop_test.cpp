// SPDX-License-Identifier: MIT
// A case from its warm-up to its checks, on a rank as a thread.
#include <gtest/gtest.h>

#include <cstdlib>

#include "bench/runner.hpp"
#include "common/exec/gpu_health.hpp"
#include "tests/host/thread_ranks.hpp"

namespace llep {
namespace {

/// Of an iteration that its check finds wrong, which is the end of the case.
TEST(CaseLoop, looks_at_the_gpu_before_it_checks) {
  ::setenv("nvmlDeviceGetCurrentClocksEventReasons", "4", 1);
  RunOptions options;
  options.iters = 2;
  options.inject = Injection{.kind = Injection::Kind::kCorrupt, .iteration = 1};
  Case one;
  one.shape = {
      .num_ranks = 1, .num_experts = 2, .max_tokens = 3, .hidden = 256, .num_topk = 2};
  one.transport = "ipc";
  one.ops = {Op::kDispatch};
  with_ranks({.axes = {.shape = one.shape}}, [&](ThreadRank& rank) {
    GpuMonitor monitor("0000:3b:00.0", {}, FAKE_NVML);
    EXPECT_FALSE(monitor.health()->clocks_event_reasons);
    const Nodes nodes{.of_rank = {0}};
    const RankContext context{.world = rank.world(),
                              .device = rank.device(),
                              .launcher = rank.launcher(),
                              .transport = rank.transport(),
                              .heap = rank.heap(),
                              .nodes = nodes,
                              .gpu_monitor = &monitor};
    Watchdog watchdog(rank.rank(), [](ExitCode) { std::abort(); });
    std::uint64_t payload_epoch = 0;
    EXPECT_EQ(run_case(context, watchdog, one, options, payload_epoch).code, ExitCode::kWrongData);
    EXPECT_EQ(monitor.health()->clocks_event_reasons, 4U);
  });
}

}  // namespace
}  // namespace llep
