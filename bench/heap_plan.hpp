// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/options.hpp"
#include "bench/sweep.hpp"
#include "kernels/layout.hpp"

/// The symmetric heap that all cases of a run share.
namespace llep {

struct HeapPlan {
  std::uint64_t bytes = 0;         // of the largest case
  std::uint64_t signal_bytes = 0;  // of the words that carry epochs: the same in all cases
};

HeapPlan plan_heap(const std::vector<Case>& cases, const RunOptions& options);

/// The layout of one case within a heap whose signal words take `signal_bytes`.
PlannedLayout plan_case(const Case& one, const RunOptions& options, std::uint64_t signal_bytes);

/// For people, before anything is allocated: the size, and with --dry-run every case's and, as
/// with --verbose, the largest case's fields.
std::string describe_heap(const std::vector<Case>& cases, const RunOptions& options,
                          const HeapPlan& plan);

}  // namespace llep
