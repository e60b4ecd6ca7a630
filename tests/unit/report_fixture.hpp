// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "bench/context.hpp"
#include "bench/health.hpp"
#include "bench/result.hpp"

/// Results with round numbers, for the tests of the reports.
namespace llep::report_fixture {

inline Case make_case() {
  return {
      .shape = {.num_ranks = 2, .num_experts = 32, .max_tokens = 16, .hidden = 1024, .num_topk = 4},
      .transport = "ipc",
      .ops = {Op::kDispatch, Op::kCombine}};
}

/// Rank 0 takes 10, 20, ... us, rank 1 half of it; 2 GB/s and 8 GB/s of 60 and 120 KB in 2 steps.
inline OpResult make_op(Op op, int num_iterations) {
  OpResult result{.op = op,
                  .us = {{}, {}},
                  .cold_us = 500.0,
                  .passed = true,
                  .checked_iterations = num_iterations,
                  .bytes = {}};
  for (int i = 1; i <= num_iterations; ++i) {
    result.us[0].push_back(10.0 * i);
    result.us[1].push_back(5.0 * i);
  }
  result.bytes.logical = {60'000, 60'000};
  result.bytes.unique_rank = {30'000, 15'000};
  result.bytes.self = {15'000, 15'000};
  result.bytes.rdma = {0, 0};
  return result;
}

inline CaseResult make_result(int num_iterations = 2) {
  return {.which = make_case(),
          .status = CaseStatus::kOk,
          .reason = "",
          .ops = {make_op(Op::kDispatch, num_iterations), make_op(Op::kCombine, num_iterations)},
          .errors = {}};
}

inline CaseResult make_skipped() {
  return {.which = make_case(),
          .status = CaseStatus::kSkipped,
          .reason = "no peer access between the GPUs of ranks 0 and 1",
          .ops = {},
          .errors = {}};
}

/// Combine's check found a wrong row.
inline CaseResult make_failed() {
  CaseResult result = make_result();
  result.status = CaseStatus::kFailed;
  result.reason = "combine: rank 1: token 3: first bad column 7";
  result.ops[1].passed = false;
  ErrorRecord error;
  error.phase = "combine: check";
  error.rank = 1;
  error.token = 3;
  error.column = 7;
  error.expected = "0x3f80 (1.0)";
  error.seen = std::uint64_t{0};
  error.message = result.reason;
  result.errors = {error};
  return result;
}

inline ContextInfo make_context(ExecutorKind executor = ExecutorKind::kCuda) {
  const bool cuda = executor == ExecutorKind::kCuda;
  ContextInfo context;
  context.executor = executor;
  for (int rank = 0; rank < 2; ++rank) {
    RankInfo info;
    info.device = cuda ? "NVIDIA H200" : "host";
    if (cuda) info.uuid = rank == 0 ? "GPU-aaaa" : "GPU-bbbb";
    if (cuda) info.pci_bus_id = rank == 0 ? "0000:3b:00.0" : "0000:5e:00.0";
    info.node = rank;
    info.host = "secret-node";
    info.placement = "cpus 0-3, NUMA node 0";
    info.processor = "AMD EPYC 9654 96-Core Processor, 192 threads";
    context.ranks.push_back(info);
  }
  if (cuda) context.nvidia_driver = "580.95.05";
  if (cuda) context.cuda_driver = "13.0";
  context.mpi_library = "Open MPI v4.1.4";
  context.version = "0.1.0";
  context.git_revision = "0123456789ab";
  context.start_time = "2026-01-31T12:00:00Z";
  context.environment = {{"CUDA_VISIBLE_DEVICES", "GPU-aaaa,GPU-bbbb"}, {"UCX_TLS", "tcp"}};
  return context;
}

/// Nothing to warn of.
inline GpuHealth make_health() {
  return {.sm_mhz_min = 1755,
          .sm_mhz_max = 1980,
          .mem_mhz = 2619,
          .clocks_event_reasons = 0x1,
          .sm_mhz_limit = 1980,
          .ecc = true,
          .ecc_errors = 0,
          .other_processes = 0,
          .temperature_c_max = 41,
          .power_w_max = 350.5};
}

/// Of four ranks, the second one's unknown.
inline RanksHealth make_sick() {
  RanksHealth ranks = {make_health(), std::nullopt, make_health(), GpuHealth()};
  ranks[0]->clocks_event_reasons = 0x45;
  ranks[0]->ecc_errors = 12;
  ranks[2]->other_processes = 1;
  ranks[2]->ecc_errors = 1;
  ranks[3]->other_processes = 2;
  return ranks;
}

}  // namespace llep::report_fixture
