// SPDX-License-Identifier: MIT
#include "bench/routing.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "common/thread_communicator.hpp"

namespace llep {
namespace {

constexpr MoeShape kShape{
    .num_ranks = 4, .num_experts = 64, .max_tokens = 33, .hidden = 128, .num_topk = 6};

std::ptrdiff_t num_masked(const RankRouting& routing) {
  return std::count(routing.topk_idx.begin(), routing.topk_idx.end(), -1);
}

void expect_distinct_experts(const MoeShape& shape, const RankRouting& routing) {
  const auto num_topk = static_cast<std::size_t>(shape.num_topk);
  ASSERT_EQ(routing.topk_idx.size(), static_cast<std::size_t>(routing.num_tokens) * num_topk);
  ASSERT_EQ(routing.weights.size(), routing.topk_idx.size());
  for (std::size_t at = 0; at < routing.topk_idx.size(); at += num_topk) {
    std::set<std::int64_t> experts;
    for (std::size_t k = 0; k < num_topk; ++k) {
      ASSERT_GE(routing.topk_idx[at + k], 0);
      ASSERT_LT(routing.topk_idx[at + k], shape.num_experts);
      experts.insert(routing.topk_idx[at + k]);
    }
    EXPECT_EQ(experts.size(), num_topk);
  }
}

TEST(Routing, IsTheSameInEveryVersion) {
  const MoeShape shape{
      .num_ranks = 2, .num_experts = 8, .max_tokens = 3, .hidden = 128, .num_topk = 4};
  const RankRouting routing =
      make_routing(shape, {.mask = {.selections = 2, .share = 0.0}, .uneven_tokens = {}}, 1);
  EXPECT_EQ(routing.topk_idx, (std::vector<std::int64_t>{2, 1, 5, 6, 7, 2, 5, -1, 1, 6, -1, 0}));
  EXPECT_EQ(routing.weights,
            (std::vector<float>{0x1.1a27cap-2F, 0x1.780938p-1F, 0x1.a55302p+1F, 0x1.9b21fap-3F,
                                0x1.0b9ae4p+0F, 0x1.9fd2c4p-2F, 0x1.0cdaa4p+0F, 0x1.19d3dcp+1F,
                                0x1.96e922p-4F, 0x1.08a19ep-1F, 0x1.ecdaecp+0F, 0x1.6a1d0cp+0F}));

  const RoutingSpec random{.mask = {}, .uneven_tokens = {.per_rank = {}, .random = true}};
  EXPECT_EQ(make_routing(kShape, random, 0).num_tokens, 8);
  EXPECT_EQ(make_routing(kShape, random, 1).num_tokens, 30);
}

TEST(Routing, SelectsDistinctExperts) {
  for (const int num_topk : {1, 8, 32}) {
    const MoeShape shape{
        .num_ranks = 2, .num_experts = 32, .max_tokens = 50, .hidden = 128, .num_topk = num_topk};
    expect_distinct_experts(shape, make_routing(shape, {}, 0));
  }
}

TEST(Routing, DependsOnSeedAndRankAlone) {
  EXPECT_EQ(make_routing(kShape, {}, 2), make_routing(kShape, {}, 2));
  EXPECT_NE(make_routing(kShape, {}, 2), make_routing(kShape, {}, 1));
  EXPECT_NE(make_routing(kShape, {}, 0),
            make_routing(kShape, {.seed = 1, .mask = {}, .uneven_tokens = {}}, 0));
}

TEST(Routing, SpreadsOverExpertsAndDrawsHalfNormalWeights) {
  const MoeShape shape{
      .num_ranks = 1, .num_experts = 16, .max_tokens = 20000, .hidden = 128, .num_topk = 4};
  const RankRouting routing = make_routing(shape, {}, 0);
  std::vector<int> count(16, 0);
  for (const std::int64_t expert : routing.topk_idx) ++count[static_cast<std::size_t>(expert)];
  const auto [least, most] = std::minmax_element(count.begin(), count.end());
  EXPECT_GT(*least, 4700);  // 5000 each, standard deviation 61
  EXPECT_LT(*most, 5300);

  // |N(0,1)|: mean sqrt(2 / pi), mean square 1, 31.73 % above 1, 4.55 % above 2.
  double mean = 0.0;
  double square = 0.0;
  double above_1 = 0.0;
  double above_2 = 0.0;
  for (const float weight : routing.weights) {
    ASSERT_GE(weight, 0.0F);
    mean += weight;
    square += double{weight} * weight;
    above_1 += weight > 1.0F ? 1 : 0;
    above_2 += weight > 2.0F ? 1 : 0;
  }
  const auto n = static_cast<double>(routing.weights.size());
  EXPECT_NEAR(mean / n, 0.79788, 0.01);
  EXPECT_NEAR(square / n, 1.0, 0.025);
  EXPECT_NEAR(above_1 / n, 0.31731, 0.008);
  EXPECT_NEAR(above_2 / n, 0.04550, 0.004);
}

TEST(Routing, MasksExactlyAsManyAsAsked) {
  const auto masked = [](const MaskSpec& mask) {
    return num_masked(make_routing(kShape, {.mask = mask, .uneven_tokens = {}}, 1));
  };
  constexpr int kSelections = 33 * 6;
  EXPECT_EQ(masked({}), 0);
  EXPECT_EQ(masked({.selections = 10}), 10);
  EXPECT_EQ(masked({.selections = kSelections}), kSelections);
  EXPECT_EQ(masked({.selections = 1000000}), kSelections);
  EXPECT_EQ(masked({.selections = 0, .share = 0.1}), 20);  // of 198
  EXPECT_EQ(masked({.selections = 0, .share = 1.0}), kSelections);
}

TEST(Routing, MaskChangesNothingElse) {
  const RankRouting whole = make_routing(kShape, {}, 1);
  const RankRouting masked =
      make_routing(kShape, {.mask = {.selections = 50, .share = 0.0}, .uneven_tokens = {}}, 1);
  EXPECT_EQ(whole.weights, masked.weights);
  for (std::size_t at = 0; at < whole.topk_idx.size(); ++at) {
    if (masked.topk_idx[at] < 0) continue;
    EXPECT_EQ(masked.topk_idx[at], whole.topk_idx[at]);
  }
}

TEST(Routing, UnevenTokens) {
  const RoutingSpec spec{.mask = {.selections = 3, .share = 0.0},
                         .uneven_tokens = {.per_rank = {33, 0, 1, 7}, .random = false}};
  const RankRouting none = make_routing(kShape, spec, 1);
  EXPECT_EQ(none.num_tokens, 0);
  EXPECT_TRUE(none.topk_idx.empty());
  EXPECT_TRUE(none.weights.empty());

  const RankRouting seven = make_routing(kShape, spec, 3);
  EXPECT_EQ(seven.num_tokens, 7);
  const RankRouting all = make_routing(kShape, {}, 3);
  EXPECT_TRUE(std::equal(seven.weights.begin(), seven.weights.end(), all.weights.begin()));
}

TEST(Routing, RandomTokensCoverTheRange) {
  const MoeShape shape{
      .num_ranks = 64, .num_experts = 64, .max_tokens = 3, .hidden = 128, .num_topk = 1};
  const RoutingSpec spec{.mask = {}, .uneven_tokens = {.per_rank = {}, .random = true}};
  std::set<int> seen;
  for (int rank = 0; rank < shape.num_ranks; ++rank) {
    seen.insert(make_routing(shape, spec, rank).num_tokens);
  }
  EXPECT_EQ(seen, (std::set<int>{0, 1, 2, 3}));
}

TEST(Routing, RefusesSpecsThatDoNotFit) {
  const auto refused = [](const RoutingSpec& spec) {
    try {
      make_routing(kShape, spec, 0);
    } catch (const Error& error) {
      return error.code() == ExitCode::kUsage;
    }
    return false;
  };
  const auto tokens = [](std::vector<int> per_rank) {
    return RoutingSpec{.mask = {}, .uneven_tokens = {.per_rank = per_rank, .random = false}};
  };
  EXPECT_TRUE(refused(tokens({1, 2, 3})));
  EXPECT_TRUE(refused(tokens({1, 2, 3, 34})));
  EXPECT_TRUE(refused(tokens({1, 2, 3, -1})));
  EXPECT_TRUE(refused({.mask = {.selections = -1, .share = 0.0}, .uneven_tokens = {}}));
  EXPECT_TRUE(refused({.mask = {.selections = 0, .share = 1.5}, .uneven_tokens = {}}));
}

TEST(Routing, LargestShapeIsDrawnQuickly) {
  const MoeShape shape{.num_ranks = 8,
                       .num_experts = kMaxExperts,
                       .max_tokens = 1024,
                       .hidden = 128,
                       .num_topk = kMaxTopk};
  expect_distinct_experts(shape, make_routing(shape, {}, 0));
}

TEST(Routing, GatheredFromRanksIsPaddedInRankOrder) {
  const RoutingSpec spec{.mask = {.selections = 3, .share = 0.0},
                         .uneven_tokens = {.per_rank = {33, 0, 1, 7}, .random = false}};
  std::vector<RankRouting> ranks;
  for (int rank = 0; rank < kShape.num_ranks; ++rank) {
    ranks.push_back(make_routing(kShape, spec, rank));
  }
  const GlobalRouting all = global_routing(kShape, ranks);
  EXPECT_EQ(all.shape, kShape);
  EXPECT_EQ(all.num_tokens, (std::vector<int>{33, 0, 1, 7}));
  EXPECT_EQ(all.topk_idx.size(), 4U * 33 * 6);
  EXPECT_EQ(all.topk_idx[all.index(2, 0, 5)], ranks[2].topk_idx[5]);
  EXPECT_EQ(all.weights[all.index(3, 6, 0)], ranks[3].weights[36]);
  EXPECT_EQ(all.topk_idx[all.index(1, 0, 0)], -1);
  EXPECT_EQ(all.topk_idx[all.index(3, 7, 0)], -1);
  EXPECT_EQ(all.weights[all.index(3, 7, 0)], 0.0F);

  run_ranks(kShape.num_ranks, [&](Communicator& comm) {
    const RankRouting& mine = ranks[static_cast<std::size_t>(comm.rank())];
    const GlobalRouting gathered = gather_routing(comm, kShape, mine);
    EXPECT_EQ(gathered.num_tokens, all.num_tokens);
    EXPECT_EQ(gathered.topk_idx, all.topk_idx);
    EXPECT_EQ(gathered.weights, all.weights);
  });
}

}  // namespace
}  // namespace llep
