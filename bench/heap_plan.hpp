// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/options.hpp"
#include "bench/sweep.hpp"
#include "kernels/layout.hpp"
#include "kernels/probe_layout.hpp"

/// The symmetric heap that all cases of a run share.
namespace llep {

PlannedLayout plan_case(const Case& one, const RunOptions& options);

/// What the largest case needs, or measuring floors if that is more.
std::uint64_t heap_bytes(const std::vector<Case>& cases, const RunOptions& options,
                         const std::optional<PlannedProbes>& floors = {});

/// For people, before anything is allocated: the size, and with --dry-run every case's and, as
/// with --verbose, the largest case's fields.
std::string describe_heap(const std::vector<Case>& cases, const RunOptions& options);
/// Once the device is known: a line if measuring floors needs more.
std::string describe_heap_of_floors(const std::vector<Case>& cases, const RunOptions& options,
                                    const std::optional<PlannedProbes>& floors);

}  // namespace llep
