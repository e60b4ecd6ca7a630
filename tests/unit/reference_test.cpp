// SPDX-License-Identifier: MIT
#include "kernels/reference.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <tuple>

namespace llep {
namespace {

enum class Traffic { kRandom, kAllMasked, kOneHotExpert };

struct Case {
  const char* name;
  MoeShape shape;
  Traffic traffic = Traffic::kRandom;
};

/// Distinct experts per token, about one selection in five masked; every third rank has no tokens
/// unless it is alone.
GlobalRouting random_routing(const Case& param, unsigned seed) {
  const MoeShape& shape = param.shape;
  const auto entries = static_cast<std::size_t>(shape.capacity() * shape.num_topk);
  GlobalRouting routing{.shape = shape,
                        .num_tokens = {},
                        .topk_idx = std::vector<std::int64_t>(entries, -1),
                        .weights = std::vector<float>(entries, 0.0F)};
  std::mt19937 random(seed);
  std::vector<int> experts(static_cast<std::size_t>(shape.num_experts));
  std::iota(experts.begin(), experts.end(), 0);
  for (int source = 0; source < shape.num_ranks; ++source) {
    const bool empty = shape.num_ranks > 1 && source % 3 == 1;
    const int num_tokens =
        empty ? 0 : 1 + static_cast<int>(random() % static_cast<unsigned>(shape.max_tokens));
    routing.num_tokens.push_back(num_tokens);
    for (int token = 0; token < num_tokens; ++token) {
      std::shuffle(experts.begin(), experts.end(), random);
      if (param.traffic == Traffic::kOneHotExpert) {
        std::swap(experts[0], *std::find(experts.begin(), experts.end(), shape.num_experts - 1));
      }
      for (int k = 0; k < shape.num_topk; ++k) {
        const std::size_t at = routing.index(source, token, k);
        const bool masked = param.traffic == Traffic::kAllMasked ||
                            (param.traffic == Traffic::kRandom && random() % 5 == 0) ||
                            (param.traffic == Traffic::kOneHotExpert && k > 0);
        routing.topk_idx[at] = masked ? -1 : experts[static_cast<std::size_t>(k)];
        routing.weights[at] = static_cast<float>(random() % 1000) * 0.001F;
      }
    }
  }
  return routing;
}

class Placement : public testing::TestWithParam<Case> {};

/// All selections of all ranks as (expert, source, token, k), sorted: the placement by definition.
using Selection = std::tuple<std::int64_t, int, int, int>;
std::vector<Selection> sorted_selections(const GlobalRouting& routing) {
  std::vector<Selection> all;
  for (std::size_t at = 0; at < routing.topk_idx.size(); ++at) {
    const auto num_topk = static_cast<std::size_t>(routing.shape.num_topk);
    const auto max_tokens = static_cast<std::size_t>(routing.shape.max_tokens);
    if (routing.topk_idx[at] < 0) continue;
    all.emplace_back(routing.topk_idx[at], static_cast<int>(at / num_topk / max_tokens),
                     static_cast<int>(at / num_topk % max_tokens), static_cast<int>(at % num_topk));
  }
  std::sort(all.begin(), all.end());
  return all;
}

std::ptrdiff_t num_below(const std::vector<Selection>& all, std::int64_t expert, int source) {
  return std::lower_bound(all.begin(), all.end(), Selection{expert, source, 0, 0}) - all.begin();
}

TEST_P(Placement, IsTheSortedOrderOfAllSelections) {
  const GlobalRouting routing = random_routing(GetParam(), 1);
  const MoeShape& shape = routing.shape;
  const std::vector<Selection> all = sorted_selections(routing);
  std::size_t num_rows = 0;
  for (int rank = 0; rank < shape.num_ranks; ++rank) {
    const ExpectedDispatch expected = expected_dispatch(routing, rank);
    num_rows += expected.rows.size();
    for (const ReceivedRow& row : expected.rows) {
      const std::int64_t expert = expected.global_expert(row.local_expert);
      const auto at = static_cast<std::size_t>(num_below(all, expert, 0) + row.row);
      ASSERT_LT(at, all.size());
      EXPECT_EQ(all[at], (Selection{expert, row.source, row.token, row.k}));
    }
    EXPECT_TRUE(std::is_sorted(
        expected.rows.begin(), expected.rows.end(), [](const auto& a, const auto& b) {
          return std::tie(a.source, a.token, a.k) < std::tie(b.source, b.token, b.k);
        }));
  }
  EXPECT_EQ(num_rows, all.size());
}

TEST_P(Placement, CountsAndRangesAreThoseOfTheSortedOrder) {
  const GlobalRouting routing = random_routing(GetParam(), 2);
  const MoeShape& shape = routing.shape;
  const std::vector<Selection> all = sorted_selections(routing);
  for (int expert = 0; expert < shape.num_experts; ++expert) {
    const ExpectedDispatch expected = expected_dispatch(routing, shape.owner(expert));
    const int local = expert % shape.num_local_experts();
    const std::ptrdiff_t begin = num_below(all, expert, 0);
    EXPECT_EQ(expected.packed_recv_count[static_cast<std::size_t>(local)],
              num_below(all, expert + 1, 0) - begin);
    for (int source = 0; source < shape.num_ranks; ++source) {
      const std::int64_t first = num_below(all, expert, source) - begin;
      const std::int64_t count = num_below(all, expert, source + 1) - begin - first;
      EXPECT_EQ(expected.layout_range[static_cast<std::size_t>(local * shape.num_ranks + source)],
                first * (std::int64_t{1} << 32) + count);
    }
  }
}

/// Moved rows as a set of what makes them distinct.
TEST_P(Placement, BytesAreThoseOfTheSortedOrder) {
  constexpr std::uint64_t kRowBytes = 100;
  const GlobalRouting routing = random_routing(GetParam(), 3);
  const MoeShape& shape = routing.shape;
  std::map<std::pair<int, int>, std::uint64_t> selections;  // (source, owner of the expert)
  std::map<std::pair<int, int>, std::set<int>> tokens;
  for (const auto& [expert, source, token, k] : sorted_selections(routing)) {
    const std::pair route(source, shape.owner(static_cast<int>(expert)));
    ++selections[route];
    tokens[route].insert(token);
  }
  for (int rank = 0; rank < shape.num_ranks; ++rank) {
    const auto by_rank = dispatch_bytes(routing, rank, kRowBytes, DispatchCopies::kRank);
    const auto by_selection = dispatch_bytes(routing, rank, kRowBytes, DispatchCopies::kSelection);
    const auto combined = combine_bytes(routing, rank, kRowBytes);
    std::uint64_t sent = 0;
    std::uint64_t unique = 0;
    for (int peer = 0; peer < shape.num_ranks; ++peer) {
      const auto to = static_cast<std::size_t>(peer);
      EXPECT_EQ(by_rank.rows_to_rank[to], tokens[std::pair(rank, peer)].size());
      EXPECT_EQ(by_selection.rows_to_rank[to], selections[std::pair(rank, peer)]);
      EXPECT_EQ(combined.rows_to_rank[to], selections[std::pair(peer, rank)]);
      sent += selections[std::pair(rank, peer)];
      unique += tokens[std::pair(rank, peer)].size();
    }
    for (const ByteCounts& bytes : {by_rank, by_selection}) {
      EXPECT_EQ(bytes.logical, sent * kRowBytes);
      EXPECT_EQ(bytes.unique_rank, unique * kRowBytes);
    }
    EXPECT_EQ(by_rank.self + by_rank.remote, by_rank.unique_rank);
    EXPECT_EQ(by_selection.self + by_selection.remote, by_selection.logical);
    EXPECT_EQ(by_rank.messages * kRowBytes, by_rank.remote);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Placement,
    testing::Values(Case{"OneRank", {1, 4, 9, 128, 2}}, Case{"TwoRanks", {2, 8, 16, 128, 3}},
                    Case{"ThreeRanks", {3, 6, 7, 128, 4}}, Case{"OneToken", {5, 10, 1, 128, 3}},
                    Case{"SevenRanks", {7, 14, 5, 128, 8}},
                    Case{"MoreTopkThanLocalExperts", {8, 16, 4, 128, 16}},
                    Case{"OneExpertPerRank", {4, 4, 6, 128, 4}},
                    Case{"ThirtyTwoTopk", {2, 64, 40, 128, 32}},
                    Case{"AllMasked", {3, 9, 6, 128, 3}, Traffic::kAllMasked},
                    Case{"OneHotExpert", {4, 12, 20, 128, 3}, Traffic::kOneHotExpert}),
    [](const auto& test) { return test.param.name; });

/// Two ranks, two experts each, two tokens, K = 3; rank 1 sends one token.
GlobalRouting small_routing() {
  return {.shape = {2, 4, 2, 128, 3},
          .num_tokens = {2, 1},
          .topk_idx = {0, 1, 2, -1, 3, 0, /* rank 1 */ 0, 3, -1, -1, -1, -1},
          .weights = std::vector<float>(12, 1.0F)};
}

TEST(ExpectedDispatch, SmallCaseByHand) {
  const ExpectedDispatch expected = expected_dispatch(small_routing(), 0);
  EXPECT_EQ(expected.packed_recv_count, (std::vector<int>{3, 1}));
  EXPECT_EQ(expected.rows,
            (std::vector<ReceivedRow>{
                {0, 0, 0, 0, 0}, {1, 0, 0, 0, 1}, {0, 1, 0, 1, 2}, {0, 2, 1, 0, 0}}));
  EXPECT_EQ(expected.layout_range, (std::vector<std::int64_t>{2, (2LL << 32) + 1, 1, 1LL << 32}));
}

TEST(ExpectedDispatch, IdsOutOfRangeGoNowhere) {
  GlobalRouting routing = small_routing();
  routing.topk_idx[0] = 1LL << 32;
  routing.topk_idx[1] = -7;
  EXPECT_EQ(expected_dispatch(routing, 0).packed_recv_count, (std::vector<int>{2, 0}));
  EXPECT_EQ(expected_dispatch(routing, 1).packed_recv_count, (std::vector<int>{1, 2}));
}

TEST(ByteCounts, SmallCaseByHand) {
  // Rank 0: token 0 -> experts 0, 1 (itself), 2 (rank 1); token 1 -> 3 (rank 1), 0 (itself).
  EXPECT_EQ(dispatch_bytes(small_routing(), 0, 10, DispatchCopies::kRank),
            (ByteCounts{50, 40, 20, 20, 2, {2, 2}}));
  EXPECT_EQ(dispatch_bytes(small_routing(), 0, 10, DispatchCopies::kSelection),
            (ByteCounts{50, 40, 30, 20, 2, {3, 2}}));
  // Rank 0's experts return three rows to itself (two tokens), one to rank 1.
  EXPECT_EQ(combine_bytes(small_routing(), 0, 10), (ByteCounts{40, 30, 30, 10, 1, {3, 1}}));
}

TEST(ByteCounts, IdsOutOfRangeAreNotSent) {
  GlobalRouting routing = small_routing();
  routing.topk_idx[0] = routing.shape.num_experts;
  EXPECT_EQ(dispatch_bytes(routing, 0, 10, DispatchCopies::kSelection).rows_to_rank,
            (std::vector<std::uint64_t>{2, 2}));
}

TEST(QuantizeRow, ScalesEachGroupByItsLargestMagnitude) {
  std::vector<Bf16> x(3 * kScaleGroup, 0);
  x[5] = to_bf16(-448.0F);  // group 0: scale 1
  x[6] = to_bf16(1.5F);
  x[kScaleGroup + 1] = to_bf16(2.0F);  // group 1: scale 224; group 2: zeros
  x[kScaleGroup + 2] = to_bf16(1.0F);
  std::vector<Fp8> codes(x.size());
  std::vector<float> scales(3);
  quantize_row(x, codes, scales);
  EXPECT_EQ(scales, (std::vector<float>{1.0F, 2.0F / 448.0F, 1e-4F / 448.0F}));
  EXPECT_EQ(codes[5], 0xfe);
  EXPECT_EQ(codes[6], to_fp8(1.5F));
  EXPECT_EQ(codes[kScaleGroup + 1], 0x7e);
  EXPECT_EQ(codes[kScaleGroup + 2], to_fp8(224.0F));
  EXPECT_TRUE(std::all_of(codes.begin() + 2 * kScaleGroup, codes.end(),
                          [](Fp8 code) { return code == 0; }));
}

TEST(QuantizeRow, GivesValuesBackWithinHalfACodeStep) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<Bf16> x(4 * kScaleGroup);
  for (Bf16& value : x) value = to_bf16(normal(random));
  std::vector<Fp8> codes(x.size());
  std::vector<float> scales(4);
  quantize_row(x, codes, scales);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float value = to_float(x[i]);
    const float scale = scales[i / kScaleGroup];
    // Three mantissa bits; below the smallest normal code, steps of 2^-9.
    const float half_step = std::max(std::fabs(value) * 0x1p-4F, 0x1p-10F * scale) * 1.0001F;
    EXPECT_NEAR(fp8_to_float(codes[i]) * scale, value, half_step);
  }
}

Bf16 combine_one(std::span<const float> weights, std::span<const Bf16> column) {
  std::vector<const Bf16*> rows;
  for (const Bf16& value : column) rows.push_back(&value);
  Bf16 out = 0x7fff;
  combine_row({.weights = weights, .rows = rows}, std::span(&out, 1));
  return out;
}

TEST(CombineRow, NoTermsGiveZero) { EXPECT_EQ(combine_one({}, {}), 0); }

TEST(CombineRow, AddsInOrderOfK) {
  const std::array<Bf16, 3> ones = {to_bf16(1.0F), to_bf16(1.0F), to_bf16(1.0F)};
  EXPECT_EQ(combine_one(std::array{0.5F, 0.25F, 2.0F}, ones), to_bf16(2.75F));
  EXPECT_EQ(combine_one(std::array{1e8F, 1.0F, -1e8F}, ones), to_bf16(0.0F));  // 1 is lost
  EXPECT_EQ(combine_one(std::array{1e8F, -1e8F, 1.0F}, ones), to_bf16(1.0F));
}

TEST(CombineRow, DoesNotRoundTheProduct) {
  // (1 + 2^-23) (1 + 2^-7) = 1 + 2^-7 + 2^-23 + 2^-30; its fp32 rounding is taken off before.
  const std::array<float, 2> weights = {-(1.0F + 0x1p-7F + 0x1p-23F), 1.0F + 0x1p-23F};
  const std::array<Bf16, 2> column = {to_bf16(1.0F), to_bf16(1.0F + 0x1p-7F)};
  EXPECT_EQ(combine_one(weights, column), to_bf16(0x1p-30F));
}

TEST(CombineBound, HoldsForTheChainAndNotForTwoStepsMore) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  for (int num_terms = 1; num_terms <= kMaxTopk; ++num_terms) {
    for (int round = 0; round < 200; ++round) {
      std::vector<float> weights(static_cast<std::size_t>(num_terms));
      std::vector<Bf16> column(weights.size());
      for (float& weight : weights) weight = std::fabs(normal(random));
      for (Bf16& value : column) value = to_bf16(std::fabs(normal(random)) + 0.01F);
      std::vector<const Bf16*> rows;
      for (const Bf16& value : column) rows.push_back(&value);

      const Bf16 result = combine_one(weights, column);
      const ExactSum exact = combine_exact({.weights = weights, .rows = rows}, 0);
      const double bound = combine_bound(exact, num_terms);
      const auto distance = [&](int steps) {
        return std::fabs(double{to_float(static_cast<Bf16>(result + steps))} - exact.sum);
      };
      EXPECT_LE(distance(0), bound);
      EXPECT_GT(distance(2), bound);
      EXPECT_GT(distance(-2), bound);
    }
  }
}

TEST(CombineBound, IsZeroWithoutTerms) { EXPECT_EQ(combine_bound({}, 0), 0.0); }

}  // namespace
}  // namespace llep
