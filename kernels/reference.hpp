// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/axes.hpp"
#include "common/formats.hpp"
#include "common/moe_shape.hpp"

/// What dispatch and combine must produce, in plain host code that knows no transport and no
/// executor. Results are judged by it, so it is written to be read and not to be fast.
namespace llep {

/// What every rank routes, gathered from all ranks.
struct GlobalRouting {
  MoeShape shape;
  std::vector<int> num_tokens;         // [num_ranks]
  std::vector<std::int64_t> topk_idx;  // [num_ranks, max_tokens, num_topk]; -1: not routed,
                                       // tokens from num_tokens on included
  std::vector<float> weights;          // [num_ranks, max_tokens, num_topk]

  /// Index of selection k of a source's token in topk_idx and weights.
  std::size_t index(int source, int token, int k) const;
};

/// One row in a rank's packed output.
struct ReceivedRow {
  int local_expert = 0;
  std::int64_t row = 0;  // within the expert, packed from 0
  int source = 0;        // rank
  int token = 0;         // of the source
  int k = 0;             // which of the token's selections

  friend bool operator==(const ReceivedRow&, const ReceivedRow&) = default;
};

/// What one rank's dispatch outputs must hold.
struct ExpectedDispatch {
  MoeShape shape;
  int rank = 0;
  std::vector<int> packed_recv_count;  // [num_local_experts]
  /// [num_local_experts, num_ranks]: first row << 32 | count
  std::vector<std::int64_t> layout_range;
  std::vector<ReceivedRow> rows;  // in (source, token, k) order

  int global_expert(int local_expert) const {
    return rank * shape.num_local_experts() + local_expert;
  }
};

/// A row's place within its expert is its rank in (source, token, k) order. Where a source sends
/// nothing to an expert, the first row is the number of rows from lower sources, the count 0.
ExpectedDispatch expected_dispatch(const GlobalRouting& routing, int rank);

/// Quantises a row per kScaleGroup elements; scales[g] times the codes gives the values back.
/// x, out [hidden]; scales [hidden / kScaleGroup].
void quantize_row(std::span<const Bf16> x, std::span<Fp8> out, std::span<float> scales);

/// The unmasked selections of one token in k order: weights [n], rows [n] of [hidden] each.
struct CombineTerms {
  std::span<const float> weights;
  std::span<const Bf16* const> rows;
};

/// acc = fmaf(weight, row, acc) in fp32 from 0, then bf16; no terms give zeros. out [hidden].
void combine_row(CombineTerms terms, std::span<Bf16> out);

/// One column of a combined row in fp64; products of fp32 and bf16 are exact there.
struct ExactSum {
  double sum = 0;
  double magnitude = 0;  // sum of |weight * element|
};
ExactSum combine_exact(CombineTerms terms, int column);

/// Largest distance of a correct bf16 result from `exact.sum`.
///
/// A chain of n fused multiply-adds rounds n times, so it is within gamma(n) * magnitude of the
/// sum, gamma(n) = n u / (1 - n u), u = 2^-24 (Higham, "Accuracy and Stability", 3.1); the fp64 sum
/// has the same bound with u = 2^-53; a subnormal step adds at most 2^-150. The last rounding adds
/// half a bf16 ulp of what it rounds.
double combine_bound(const ExactSum& exact, int num_terms);

/// What one rank sends in one op, itself as a destination included unless said otherwise. Rows
/// only: routing tables and signals are not counted.
struct ByteCounts {
  std::uint64_t logical = 0;                // every unmasked selection
  std::uint64_t unique_rank = 0;            // one row per (token, destination rank)
  std::uint64_t self = 0;                   // moved rows that stay on the rank
  std::uint64_t remote = 0;                 // moved rows that leave it
  std::uint64_t messages = 0;               // moved rows that leave it, as a number
  std::vector<std::uint64_t> rows_to_rank;  // [num_ranks] moved rows by destination

  friend bool operator==(const ByteCounts&, const ByteCounts&) = default;
};

/// Dispatch moves one row per (token, destination rank) with rank copies, one per selection with
/// selection copies. row_bytes: of a row as it travels (FP8: with its scales).
ByteCounts dispatch_bytes(const GlobalRouting& routing, int rank, std::uint64_t row_bytes,
                          DispatchCopies copies);

/// Combine moves one row per selection, from the expert's rank to the token's owner.
ByteCounts combine_bytes(const GlobalRouting& routing, int rank, std::uint64_t row_bytes);

}  // namespace llep
