// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "bench/routing.hpp"
#include "bench/row_sources.hpp"
#include "kernels/reference.hpp"

namespace llep {

inline constexpr int kRank = 1;
inline constexpr MoeShape kShape{
    .num_ranks = 3, .num_experts = 6, .max_tokens = 5, .hidden = 256, .num_topk = 3};
inline constexpr auto kHidden = static_cast<std::size_t>(kShape.hidden);
inline constexpr auto kCapacity = static_cast<std::size_t>(kShape.capacity());
inline constexpr auto kLocalExperts = static_cast<std::size_t>(kShape.num_local_experts());

inline GlobalRouting three_ranks() {
  const RoutingSpec spec{.mask = {.selections = 2, .share = 0.0},
                         .uneven_tokens = {.per_rank = {5, 4, 2}, .random = false}};
  std::vector<RankRouting> ranks;
  for (int rank = 0; rank < kShape.num_ranks; ++rank) {
    ranks.push_back(make_routing(kShape, spec, rank));
  }
  return global_routing(kShape, ranks);
}

/// Outputs of a dispatch and combine that went well, as they lie on the host; tests spoil them.
struct Outputs {
  Outputs(const DispatchedRow& dispatched, const ExpertRow& expert_row)
      : routing(three_ranks()),
        expected(expected_dispatch(routing, kRank)),
        counts(expected.packed_recv_count),
        layout(expected.layout_range),
        src_info(kLocalExperts * kCapacity, -1),
        bf16(kLocalExperts * kCapacity * kHidden, 0x7fff),
        fp8(bf16.size(), 0x7f),
        scales(kLocalExperts * kHidden / kScaleGroup * kCapacity, -1.0F) {
    std::vector<Bf16> x(kHidden);
    for (const ReceivedRow& row : expected.rows) {
      dispatched(row.source, row.token, x);
      store(row, x);
    }
    fill_combined(expert_row);
  }

  static std::size_t place(const ReceivedRow& row) {
    return static_cast<std::size_t>(row.local_expert) * kCapacity +
           static_cast<std::size_t>(row.row);
  }

  std::size_t scale_place(const ReceivedRow& row, std::size_t group) const {
    const std::size_t expert = static_cast<std::size_t>(row.local_expert);
    return (expert * kHidden / kScaleGroup + group) * kCapacity + static_cast<std::size_t>(row.row);
  }

  void store(const ReceivedRow& row, const std::vector<Bf16>& x) {
    std::array<float, kHidden / kScaleGroup> row_scales;
    const std::size_t at = place(row);
    src_info[at] = row.token;
    std::copy(x.begin(), x.end(), bf16.begin() + static_cast<std::ptrdiff_t>(at * kHidden));
    quantize_row(x, std::span(fp8).subspan(at * kHidden, kHidden), row_scales);
    for (std::size_t g = 0; g < row_scales.size(); ++g) scales[scale_place(row, g)] = row_scales[g];
  }

  void fill_combined(const ExpertRow& expert_row) {
    const int num_tokens = routing.num_tokens[kRank];
    combined.resize(static_cast<std::size_t>(num_tokens) * kHidden);
    for (int token = 0; token < num_tokens; ++token) {
      std::vector<float> weights;
      std::vector<std::vector<Bf16>> rows;
      std::vector<const Bf16*> pointers;
      for (int k = 0; k < kShape.num_topk; ++k) {
        if (routing.topk_idx[routing.index(kRank, token, k)] < 0) continue;
        weights.push_back(routing.weights[routing.index(kRank, token, k)]);
        expert_row(kRank, token, k, rows.emplace_back(kHidden));
      }
      for (const auto& row : rows) pointers.push_back(row.data());
      combine_row({.weights = weights, .rows = pointers},
                  std::span(combined).subspan(static_cast<std::size_t>(token) * kHidden, kHidden));
    }
  }

  GlobalRouting routing;
  ExpectedDispatch expected;
  std::vector<int> counts;
  std::vector<std::int64_t> layout;
  std::vector<int> src_info;
  std::vector<Bf16> bf16;
  std::vector<Fp8> fp8;
  std::vector<float> scales;
  std::vector<Bf16> combined;
};

}  // namespace llep
