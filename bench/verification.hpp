// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/row_sources.hpp"
#include "common/formats.hpp"
#include "common/moe_shape.hpp"
#include "kernels/reference.hpp"

/// Comparison of one rank's outputs, copied to the host, with what kernels/reference.hpp says they
/// must be: bit for bit, and the first difference by name. Never a norm over a tensor, which hides
/// one bad row.
namespace llep {

/// The first wrong value of an output. -1: does not apply.
struct Mismatch {
  std::string what;       // which output: "dispatch", "src_info", ...
  int rank = -1;          // whose output
  int expert = -1;        // global
  std::int64_t row = -1;  // of the expert
  int source = -1;        // rank
  int token = -1;         // of the source
  int column = -1;
  std::string expected;
  std::string seen;
};

/// One line: "rank 1: dispatch: expert 37 row 5 (source rank 0, token 12): first bad column 3:
/// expected 0x3f80 (1.0), seen 0x7fff (nan)".
std::string to_string(const Mismatch& mismatch);

/// "0x3f80 (1.0)".
std::string describe(Bf16 value);
std::string describe(Fp8 value);
std::string describe(float value);

/// A rank's received rows, wherever they were copied to. Row r of local expert l begins at
/// experts[l] + r * row_stride; its scale of group g is scales[l][g * scale_stride + r].
struct PackedRows {
  DispatchDtype dtype = DispatchDtype::kBf16;
  std::vector<const std::byte*> experts = {};  // [num_local_experts]
  std::size_t row_stride = 0;                  // bytes
  std::vector<const float*> scales = {};       // [num_local_experts]; FP8 only
  std::size_t scale_stride = 0;                // rows

  const std::byte* row(int local_expert, std::int64_t row_index) const;
  float scale(int local_expert, int group, std::int64_t row_index) const;
};

/// Views of whole outputs: rows [num_local_experts, capacity, hidden]; FP8 has scales
/// [num_local_experts, hidden / 128, capacity].
PackedRows packed_bf16(const MoeShape& shape, const Bf16* rows);
PackedRows packed_fp8(const MoeShape& shape, const Fp8* rows, const float* scales);

/// packed_recv_count [num_local_experts].
std::optional<Mismatch> check_counts(const ExpectedDispatch& expected, std::span<const int> seen);

/// layout_range [num_local_experts, num_ranks].
std::optional<Mismatch> check_layout(const ExpectedDispatch& expected,
                                     std::span<const std::int64_t> seen);

/// src_info [num_local_experts, capacity]; entries beyond the received rows are not looked at.
std::optional<Mismatch> check_src_info(const ExpectedDispatch& expected, std::span<const int> seen);

/// Received rows, and in FP8 their scales, against what their sources dispatched.
std::optional<Mismatch> check_rows(const ExpectedDispatch& expected, const PackedRows& packed,
                                   const DispatchedRow& dispatched);

/// The owner's combined rows [num_tokens, hidden]: the bits of combine_row, and within
/// combine_bound of the fp64 sum.
std::optional<Mismatch> check_combine(const GlobalRouting& routing, int rank,
                                      std::span<const Bf16> seen, const ExpertRow& expert_row);

}  // namespace llep
