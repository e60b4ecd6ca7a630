// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/result.hpp"

/// The numbers that table and JSON share.
namespace llep {

/// Of values by rank.
struct Spread {
  double min = 0;
  double avg = 0;
  double max = 0;
};

std::optional<Spread> spread(std::span<const double> values);  // nothing: there are none

/// GB/s, 1e9 bytes per second.
struct Bandwidth {
  Spread per_rank;   // own bytes by own mean time
  double aggregate;  // bytes of all ranks by the mean of the slowest rank's times
};

/// Nothing where bytes or times are unknown. bytes: [num_ranks]; us: [num_ranks][num_iterations].
std::optional<Bandwidth> bandwidth(std::span<const std::uint64_t> bytes,
                                   const RankSamples& us);

/// Of one op within its case: a failure that a check found is that op's alone, any other is all
/// ops'.
CaseStatus op_status(const CaseResult& result, Op op);

/// The measurement of one op; null where there is none.
const OpResult* find_op(const CaseResult& result, Op op);

/// Whether there are times to report.
bool measured(const OpResult& op);

/// Of an op whose halves were timed apart; empty of others.
RankSamples send_half(const OpResult& op);

/// How much of the receive half compute hides: 1 - median exposed / median receive half, of the
/// slowest ranks. Nothing: not measured.
std::optional<double> hidden_share(const Overlap& overlap);

/// [num_ranks] in how many iterations a rank was the slowest; of equal ones the lowest counts.
std::vector<std::size_t> slowest_counts(const OpResult& op);

}  // namespace llep
