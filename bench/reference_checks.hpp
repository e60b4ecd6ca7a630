// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "bench/verification.hpp"
#include "kernels/reference.hpp"

/// The checks of the reference test (MSCCL++'s test_low_latency_multirank.py), each in its own
/// terms: they know neither the placement nor the arithmetic that verification.hpp expects. They
/// hold for the reference payload, reference_rows() with identity_expert().
namespace llep {

/// Per local expert: packed_recv_count is how often the expert occurs in all ranks' top-k, and the
/// low 32 bits of its layout_range sum to that.
/// packed_recv_count [num_local_experts], layout_range [num_local_experts, num_ranks].
std::optional<Mismatch> check_reference_counts(const GlobalRouting& routing, int rank,
                                               std::span<const int> packed_recv_count,
                                               std::span<const std::int64_t> layout_range);

/// Every received row holds one value in all but its last 128 columns (FP8: code times scale).
/// The counts must have passed check_reference_counts.
std::optional<Mismatch> check_reference_rows(const MoeShape& shape, int rank,
                                             std::span<const int> packed_recv_count,
                                             const PackedRows& packed);

/// Combined rows [num_tokens, hidden] are bf16(x * sum of the unmasked weights) without NaN.
///
/// The reference asks for |difference| < 1e-2 between two bf16 values. From 2.0 on their step alone
/// is larger (2 at the test's 256 to 512), and two right roundings of one sum may end on either
/// side of a step; so one step is allowed where it is larger than 1e-2, and nothing beyond.
std::optional<Mismatch> check_reference_combine(const GlobalRouting& routing, int rank,
                                                std::span<const Bf16> combined);

}  // namespace llep
