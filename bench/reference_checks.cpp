// SPDX-License-Identifier: MIT
#include "bench/reference_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/payload.hpp"

namespace llep {

namespace {

/// Columns at the end of a row that hold the token index.
constexpr int kTokenColumns = 128;
constexpr double kTolerance = 1e-2;

/// An element of a received row as a number.
float received_value(const PackedRows& packed, int local_expert, std::int64_t row, int column) {
  const std::byte* data = packed.row(local_expert, row);
  if (packed.dtype == DispatchDtype::kFp8) {
    const auto code = std::to_integer<Fp8>(data[column]);
    return fp8_to_float(code) * packed.scale(local_expert, column / kScaleGroup, row);
  }
  Bf16 value;
  std::memcpy(&value, data + static_cast<std::size_t>(column) * sizeof(Bf16), sizeof(Bf16));
  return to_float(value);
}

/// First column that differs from the row's first value (a NaN differs from itself), or -1.
int first_uneven_column(const PackedRows& packed, int local_expert, std::int64_t row,
                        int num_columns) {
  if (num_columns <= 0) return -1;
  const float first = received_value(packed, local_expert, row, 0);
  for (int column = 0; column < num_columns; ++column) {
    if (!(received_value(packed, local_expert, row, column) == first)) return column;
  }
  return -1;
}

/// Sum of a token's unmasked weights, in fp32 as the reference has it.
float weight_sum(const GlobalRouting& routing, int rank, int token) {
  float sum = 0.0F;
  for (int k = 0; k < routing.shape.num_topk; ++k) {
    const std::size_t at = routing.index(rank, token, k);
    if (routing.topk_idx[at] >= 0) sum += routing.weights[at];
  }
  return sum;
}

bool close_enough(Bf16 seen, Bf16 expected) {
  const double value = to_float(seen);
  const double wanted = to_float(expected);
  if (std::fabs(value - wanted) < kTolerance) return true;
  // Neighbours of one sign have neighbouring bits. False for NaN, whose bits are beyond infinity's.
  return std::isfinite(value) && std::abs(int{seen} - int{expected}) <= 1;
}

}  // namespace

std::optional<Mismatch> check_reference_counts(const GlobalRouting& routing, int rank,
                                               std::span<const int> packed_recv_count,
                                               std::span<const std::int64_t> layout_range) {
  const MoeShape& shape = routing.shape;
  const auto num_ranks = static_cast<std::size_t>(shape.num_ranks);
  for (int local = 0; local < shape.num_local_experts(); ++local) {
    const int expert = rank * shape.num_local_experts() + local;
    const auto occurrences = std::count(routing.topk_idx.begin(), routing.topk_idx.end(), expert);
    const auto mismatch = [&](const char* what, std::int64_t seen) {
      return Mismatch{.what = what,
                      .rank = rank,
                      .expert = expert,
                      .expected = fmt::format("{}", occurrences),
                      .seen = fmt::format("{}", seen)};
    };
    const int count = packed_recv_count[static_cast<std::size_t>(local)];
    if (count != occurrences) return mismatch("reference test, packed_recv_count", count);

    std::int64_t sum = 0;
    for (const std::int64_t range :
         layout_range.subspan(static_cast<std::size_t>(local) * num_ranks, num_ranks)) {
      sum += range & 0xffffffff;
    }
    if (sum != occurrences) return mismatch("reference test, sum of layout_range", sum);
  }
  return std::nullopt;
}

std::optional<Mismatch> check_reference_rows(const MoeShape& shape, int rank,
                                             std::span<const int> packed_recv_count,
                                             const PackedRows& packed) {
  for (int local = 0; local < shape.num_local_experts(); ++local) {
    for (int row = 0; row < packed_recv_count[static_cast<std::size_t>(local)]; ++row) {
      const int column = first_uneven_column(packed, local, row, shape.hidden - kTokenColumns);
      if (column < 0) continue;
      return Mismatch{
          .what = "reference test, uniform row",
          .rank = rank,
          .expert = rank * shape.num_local_experts() + local,
          .row = row,
          .column = column,
          .expected = fmt::format("{:#} as in column 0", received_value(packed, local, row, 0)),
          .seen = fmt::format("{:#}", received_value(packed, local, row, column))};
    }
  }
  return std::nullopt;
}

std::optional<Mismatch> check_reference_combine(const GlobalRouting& routing, int rank,
                                                std::span<const Bf16> combined) {
  const int hidden = routing.shape.hidden;
  std::size_t at = 0;
  for (int token = 0; token < routing.num_tokens[static_cast<std::size_t>(rank)]; ++token) {
    const float sum = weight_sum(routing, rank, token);
    for (int column = 0; column < hidden; ++column, ++at) {
      const float x = to_float(reference_payload_value(rank, token, hidden, column));
      const Bf16 expected = to_bf16(x * sum);
      if (close_enough(combined[at], expected)) continue;
      return Mismatch{.what = "reference test, combine",
                      .rank = rank,
                      .token = token,
                      .column = column,
                      .expected = describe(expected),
                      .seen = describe(combined[at])};
    }
  }
  return std::nullopt;
}

}  // namespace llep
