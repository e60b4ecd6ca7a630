// SPDX-License-Identifier: MIT
#include "bench/verification.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace llep {

namespace {

/// layout_range's packed form in words.
std::string describe_range(std::int64_t range) {
  return fmt::format("{} rows from row {}", range & 0xffffffff, range >> 32);
}

/// First index where two arrays of equal length differ in their bits, or -1.
int first_difference(std::span<const std::byte> expected, const std::byte* seen,
                     std::size_t element_bytes) {
  if (std::memcmp(expected.data(), seen, expected.size()) == 0) return -1;
  const auto at = std::mismatch(expected.begin(), expected.end(), seen).first;
  return static_cast<int>(static_cast<std::size_t>(at - expected.begin()) / element_bytes);
}

template <class T>
T load(const std::byte* array, int index) {
  T value;
  std::memcpy(&value, array + static_cast<std::size_t>(index) * sizeof(T), sizeof(T));
  return value;
}

/// Compares received rows with one source row at a time, in the form the rows travel in.
class RowCheck {
 public:
  RowCheck(const MoeShape& shape, const PackedRows& packed)
      : packed_(packed), row_(static_cast<std::size_t>(shape.hidden)) {
    if (packed.dtype == DispatchDtype::kBf16) return;
    codes_.resize(row_.size());
    scales_.resize(static_cast<std::size_t>(shape.num_scales()));
  }

  void expect(const DispatchedRow& dispatched, int source, int token) {
    dispatched(source, token, row_);
    if (packed_.dtype == DispatchDtype::kFp8) quantize_row(row_, codes_, scales_);
  }

  std::optional<Mismatch> compare(const ReceivedRow& at) const {
    if (packed_.dtype == DispatchDtype::kBf16) return compare_elements<Bf16>(row_, at);
    if (auto bad = compare_elements<Fp8>(codes_, at)) return bad;
    return compare_scales(at);
  }

 private:
  template <class T>
  std::optional<Mismatch> compare_elements(const std::vector<T>& expected,
                                           const ReceivedRow& at) const {
    const std::byte* seen = packed_.row(at.local_expert, at.row);
    const int column = first_difference(std::as_bytes(std::span(expected)), seen, sizeof(T));
    if (column < 0) return std::nullopt;
    return Mismatch{.what = "dispatch",
                    .column = column,
                    .expected = describe(expected[static_cast<std::size_t>(column)]),
                    .seen = describe(load<T>(seen, column))};
  }

  std::optional<Mismatch> compare_scales(const ReceivedRow& at) const {
    for (int group = 0; group < static_cast<int>(scales_.size()); ++group) {
      const float expected = scales_[static_cast<std::size_t>(group)];
      const float seen = packed_.scale(at.local_expert, group, at.row);
      if (std::bit_cast<std::uint32_t>(seen) == std::bit_cast<std::uint32_t>(expected)) continue;
      return Mismatch{.what = "dispatch scales",
                      .column = group * kScaleGroup,
                      .expected = describe(expected),
                      .seen = describe(seen)};
    }
    return std::nullopt;
  }

  const PackedRows& packed_;
  std::vector<Bf16> row_;
  std::vector<Fp8> codes_;
  std::vector<float> scales_;
};

/// The rows that combine adds up for one token of one rank.
class TokenTerms {
 public:
  TokenTerms(const GlobalRouting& routing, int rank) : routing_(routing), rank_(rank) {
    rows_.resize(static_cast<std::size_t>(routing.shape.num_topk));
    for (auto& row : rows_) row.resize(static_cast<std::size_t>(routing.shape.hidden));
  }

  CombineTerms fill(int token, const ExpertRow& expert_row) {
    weights_.clear();
    pointers_.clear();
    for (int k = 0; k < routing_.shape.num_topk; ++k) {
      const std::size_t at = routing_.index(rank_, token, k);
      if (routing_.topk_idx[at] < 0) continue;
      std::vector<Bf16>& row = rows_[pointers_.size()];
      expert_row(rank_, token, k, row);
      weights_.push_back(routing_.weights[at]);
      pointers_.push_back(row.data());
    }
    return {.weights = weights_, .rows = pointers_};
  }

 private:
  const GlobalRouting& routing_;
  int rank_;
  std::vector<std::vector<Bf16>> rows_;  // [num_topk] of [hidden]
  std::vector<float> weights_;
  std::vector<const Bf16*> pointers_;
};

std::optional<Mismatch> compare_combined(CombineTerms terms, std::span<const Bf16> expected,
                                         std::span<const Bf16> seen) {
  const int bad =
      first_difference(std::as_bytes(expected), std::as_bytes(seen).data(), sizeof(Bf16));
  if (bad >= 0) {
    const auto at = static_cast<std::size_t>(bad);
    return Mismatch{.what = "combine",
                    .column = bad,
                    .expected = describe(expected[at]),
                    .seen = describe(seen[at])};
  }
  for (std::size_t at = 0; at < seen.size(); ++at) {
    const int column = static_cast<int>(at);
    const ExactSum exact = combine_exact(terms, column);
    const double bound = combine_bound(exact, static_cast<int>(terms.rows.size()));
    if (std::fabs(double{to_float(seen[at])} - exact.sum) <= bound) continue;
    return Mismatch{.what = "combine against fp64",
                    .column = column,
                    .expected = fmt::format("{} within {}", exact.sum, bound),
                    .seen = describe(seen[at])};
  }
  return std::nullopt;
}

}  // namespace

std::string describe(Bf16 value) { return fmt::format("{:#06x} ({:#})", value, to_float(value)); }

std::string describe(Fp8 value) {
  return fmt::format("{:#04x} ({:#})", value, fp8_to_float(value));
}

std::string describe(float value) {
  return fmt::format("{:#010x} ({:#})", std::bit_cast<std::uint32_t>(value), value);
}

std::string to_string(const Mismatch& mismatch) {
  std::string line = fmt::format("rank {}: {}:", mismatch.rank, mismatch.what);
  if (mismatch.expert >= 0) line += fmt::format(" expert {}", mismatch.expert);
  if (mismatch.row >= 0) line += fmt::format(" row {}", mismatch.row);
  if (mismatch.source >= 0 && mismatch.token >= 0) {
    line += fmt::format(" (source rank {}, token {})", mismatch.source, mismatch.token);
  } else if (mismatch.source >= 0) {
    line += fmt::format(" (source rank {})", mismatch.source);
  } else if (mismatch.token >= 0) {
    line += fmt::format(" token {}", mismatch.token);
  }
  line += ":";
  if (mismatch.column >= 0) line += fmt::format(" first bad column {}:", mismatch.column);
  return line + fmt::format(" expected {}, seen {}", mismatch.expected, mismatch.seen);
}

const std::byte* PackedRows::row(int local_expert, std::int64_t row_index) const {
  return experts[static_cast<std::size_t>(local_expert)] +
         static_cast<std::size_t>(row_index) * row_stride;
}

float PackedRows::scale(int local_expert, int group, std::int64_t row_index) const {
  return scales[static_cast<std::size_t>(local_expert)]
               [static_cast<std::size_t>(group) * scale_stride +
                static_cast<std::size_t>(row_index)];
}

PackedRows packed_bf16(const MoeShape& shape, const Bf16* rows) {
  const auto capacity = static_cast<std::size_t>(shape.capacity());
  const std::size_t stride = static_cast<std::size_t>(shape.hidden) * sizeof(Bf16);
  PackedRows packed{.dtype = DispatchDtype::kBf16, .row_stride = stride};
  for (int local = 0; local < shape.num_local_experts(); ++local) {
    packed.experts.push_back(reinterpret_cast<const std::byte*>(rows) +
                             static_cast<std::size_t>(local) * capacity * stride);
  }
  return packed;
}

PackedRows packed_fp8(const MoeShape& shape, const Fp8* rows, const float* scales) {
  const auto capacity = static_cast<std::size_t>(shape.capacity());
  const auto stride = static_cast<std::size_t>(shape.hidden) * sizeof(Fp8);
  PackedRows packed{.dtype = DispatchDtype::kFp8, .row_stride = stride, .scale_stride = capacity};
  for (int local = 0; local < shape.num_local_experts(); ++local) {
    const auto expert = static_cast<std::size_t>(local);
    packed.experts.push_back(reinterpret_cast<const std::byte*>(rows) + expert * capacity * stride);
    packed.scales.push_back(scales +
                            expert * static_cast<std::size_t>(shape.num_scales()) * capacity);
  }
  return packed;
}

std::optional<Mismatch> check_counts(const ExpectedDispatch& expected, std::span<const int> seen) {
  for (std::size_t local = 0; local < expected.packed_recv_count.size(); ++local) {
    if (seen[local] == expected.packed_recv_count[local]) continue;
    return Mismatch{.what = "packed_recv_count",
                    .rank = expected.rank,
                    .expert = expected.global_expert(static_cast<int>(local)),
                    .expected = fmt::format("{}", expected.packed_recv_count[local]),
                    .seen = fmt::format("{}", seen[local])};
  }
  return std::nullopt;
}

std::optional<Mismatch> check_layout(const ExpectedDispatch& expected,
                                     std::span<const std::int64_t> seen) {
  const auto num_ranks = static_cast<std::size_t>(expected.shape.num_ranks);
  for (std::size_t at = 0; at < expected.layout_range.size(); ++at) {
    if (seen[at] == expected.layout_range[at]) continue;
    return Mismatch{.what = "layout_range",
                    .rank = expected.rank,
                    .expert = expected.global_expert(static_cast<int>(at / num_ranks)),
                    .source = static_cast<int>(at % num_ranks),
                    .expected = describe_range(expected.layout_range[at]),
                    .seen = describe_range(seen[at])};
  }
  return std::nullopt;
}

std::optional<Mismatch> check_src_info(const ExpectedDispatch& expected,
                                       std::span<const int> seen) {
  for (const ReceivedRow& row : expected.rows) {
    const std::int64_t at = row.local_expert * expected.shape.capacity() + row.row;
    const int token = seen[static_cast<std::size_t>(at)];
    if (token == row.token) continue;
    return Mismatch{.what = "src_info",
                    .rank = expected.rank,
                    .expert = expected.global_expert(row.local_expert),
                    .row = row.row,
                    .source = row.source,
                    .token = row.token,
                    .expected = fmt::format("{}", row.token),
                    .seen = fmt::format("{}", token)};
  }
  return std::nullopt;
}

std::optional<Mismatch> check_rows(const ExpectedDispatch& expected, const PackedRows& packed,
                                   const DispatchedRow& dispatched) {
  RowCheck check(expected.shape, packed);
  const ReceivedRow* last = nullptr;
  for (const ReceivedRow& row : expected.rows) {
    // Rows of one token follow each other: its row is computed once.
    if (last == nullptr || row.source != last->source || row.token != last->token) {
      check.expect(dispatched, row.source, row.token);
    }
    last = &row;
    std::optional<Mismatch> bad = check.compare(row);
    if (!bad) continue;
    bad->rank = expected.rank;
    bad->expert = expected.global_expert(row.local_expert);
    bad->row = row.row;
    bad->source = row.source;
    bad->token = row.token;
    return bad;
  }
  return std::nullopt;
}

std::optional<Mismatch> check_combine(const GlobalRouting& routing, int rank,
                                      std::span<const Bf16> seen, const ExpertRow& expert_row) {
  const auto hidden = static_cast<std::size_t>(routing.shape.hidden);
  std::vector<Bf16> expected(hidden);
  TokenTerms token_terms(routing, rank);
  for (int token = 0; token < routing.num_tokens[static_cast<std::size_t>(rank)]; ++token) {
    const CombineTerms terms = token_terms.fill(token, expert_row);
    combine_row(terms, expected);
    auto bad = compare_combined(terms, expected,
                                seen.subspan(static_cast<std::size_t>(token) * hidden, hidden));
    if (!bad) continue;
    bad->rank = rank;
    bad->token = token;
    return bad;
  }
  return std::nullopt;
}

}  // namespace llep
