// SPDX-License-Identifier: MIT
#include "kernels/reference.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace llep {

namespace {

/// The rank a selection goes to, or -1. Ids out of range go nowhere, as in the kernels.
int destination(const MoeShape& shape, std::int64_t expert) {
  if (expert < 0 || expert >= shape.num_experts) return -1;
  return shape.owner(static_cast<int>(expert));
}

/// [num_ranks] selections of one token that go to each rank.
std::vector<std::uint64_t> selections_to_rank(const GlobalRouting& routing, int source, int token) {
  std::vector<std::uint64_t> count(static_cast<std::size_t>(routing.shape.num_ranks), 0);
  for (int k = 0; k < routing.shape.num_topk; ++k) {
    const int to = destination(routing.shape, routing.topk_idx[routing.index(source, token, k)]);
    if (to >= 0) ++count[static_cast<std::size_t>(to)];
  }
  return count;
}

void finish(ByteCounts& bytes, int rank, std::uint64_t row_bytes) {
  const auto& rows = bytes.rows_to_rank;
  const std::uint64_t own = rows[static_cast<std::size_t>(rank)];
  bytes.messages = std::accumulate(rows.begin(), rows.end(), std::uint64_t{0}) - own;
  bytes.self = own * row_bytes;
  bytes.remote = bytes.messages * row_bytes;
}

double gamma(int num_roundings, double unit) {
  return num_roundings * unit / (1.0 - num_roundings * unit);
}

/// Half the distance of bf16 values around a magnitude (8 significant bits).
double half_ulp_bf16(double magnitude) {
  if (magnitude == 0.0) return 0.0;
  constexpr int kMinExponent = -126;
  return std::ldexp(1.0, std::max(std::ilogb(magnitude), kMinExponent) - 8);
}

}  // namespace

std::size_t GlobalRouting::index(int source, int token, int k) const {
  const std::int64_t row = std::int64_t{source} * shape.max_tokens + token;
  return static_cast<std::size_t>(row * shape.num_topk + k);
}

ExpectedDispatch expected_dispatch(const GlobalRouting& routing, int rank) {
  const MoeShape& shape = routing.shape;
  const auto num_local = static_cast<std::size_t>(shape.num_local_experts());
  const auto num_ranks = static_cast<std::size_t>(shape.num_ranks);
  ExpectedDispatch expected{.shape = shape,
                            .rank = rank,
                            .packed_recv_count = std::vector<int>(num_local, 0),
                            .layout_range = std::vector<std::int64_t>(num_local * num_ranks, 0),
                            .rows = {}};
  auto& count = expected.packed_recv_count;
  for (int source = 0; source < shape.num_ranks; ++source) {
    const std::vector<int> first = count;
    for (int token = 0; token < routing.num_tokens[static_cast<std::size_t>(source)]; ++token) {
      for (int k = 0; k < shape.num_topk; ++k) {
        const std::int64_t expert = routing.topk_idx[routing.index(source, token, k)];
        if (destination(shape, expert) != rank) continue;
        const int local = static_cast<int>(expert) - expected.global_expert(0);
        const std::int64_t row = count[static_cast<std::size_t>(local)]++;
        expected.rows.push_back({local, row, source, token, k});
      }
    }
    for (std::size_t local = 0; local < num_local; ++local) {
      expected.layout_range[local * num_ranks + static_cast<std::size_t>(source)] =
          static_cast<std::int64_t>(first[local]) << 32 | (count[local] - first[local]);
    }
  }
  return expected;
}

void quantize_row(std::span<const Bf16> x, std::span<Fp8> out, std::span<float> scales) {
  constexpr std::size_t kGroup = kScaleGroup;
  for (std::size_t group = 0; group < scales.size(); ++group) {
    const auto values = x.subspan(group * kGroup, kGroup);
    float amax = 0.0F;
    for (const Bf16 value : values) amax = std::max(amax, std::fabs(to_float(value)));
    const float scale = fp8_scale(amax);
    for (std::size_t i = 0; i < kGroup; ++i) {
      out[group * kGroup + i] = to_fp8(to_float(values[i]) * scale);
    }
    scales[group] = fp8_scale_inverse(amax);
  }
}

void combine_row(CombineTerms terms, std::span<Bf16> out) {
  for (std::size_t column = 0; column < out.size(); ++column) {
    float acc = 0.0F;
    for (std::size_t k = 0; k < terms.rows.size(); ++k) {
      acc = std::fmaf(terms.weights[k], to_float(terms.rows[k][column]), acc);
    }
    out[column] = to_bf16(acc);
  }
}

ExactSum combine_exact(CombineTerms terms, int column) {
  ExactSum exact;
  for (std::size_t k = 0; k < terms.rows.size(); ++k) {
    const double product = double{terms.weights[k]} * double{to_float(terms.rows[k][column])};
    exact.sum += product;
    exact.magnitude += std::fabs(product);
  }
  return exact;
}

double combine_bound(const ExactSum& exact, int num_terms) {
  const double relative = gamma(num_terms, 0x1p-24) + gamma(num_terms, 0x1p-53);
  const double chain = relative * exact.magnitude + num_terms * 0x1p-150;
  return chain + half_ulp_bf16(std::fabs(exact.sum) + chain);
}

ByteCounts dispatch_bytes(const GlobalRouting& routing, int rank, std::uint64_t row_bytes,
                          DispatchCopies copies) {
  const auto num_ranks = static_cast<std::size_t>(routing.shape.num_ranks);
  ByteCounts bytes;
  bytes.rows_to_rank.assign(num_ranks, 0);
  for (int token = 0; token < routing.num_tokens[static_cast<std::size_t>(rank)]; ++token) {
    const auto selections = selections_to_rank(routing, rank, token);
    for (std::size_t to = 0; to < num_ranks; ++to) {
      const std::uint64_t once = selections[to] != 0 ? 1 : 0;
      bytes.logical += selections[to] * row_bytes;
      bytes.unique_rank += once * row_bytes;
      bytes.rows_to_rank[to] += copies == DispatchCopies::kRank ? once : selections[to];
    }
  }
  finish(bytes, rank, row_bytes);
  return bytes;
}

ByteCounts combine_bytes(const GlobalRouting& routing, int rank, std::uint64_t row_bytes) {
  const auto num_ranks = static_cast<std::size_t>(routing.shape.num_ranks);
  ByteCounts bytes;
  bytes.rows_to_rank.assign(num_ranks, 0);
  for (std::size_t owner = 0; owner < num_ranks; ++owner) {
    for (int token = 0; token < routing.num_tokens[owner]; ++token) {
      const auto rows = selections_to_rank(routing, static_cast<int>(owner),
                                           token)[static_cast<std::size_t>(rank)];
      bytes.logical += rows * row_bytes;
      bytes.unique_rank += rows != 0 ? row_bytes : 0;
      bytes.rows_to_rank[owner] += rows;
    }
  }
  finish(bytes, rank, row_bytes);
  return bytes;
}

}  // namespace llep
