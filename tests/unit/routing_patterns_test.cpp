// SPDX-License-Identifier: MIT
#include "bench/routing_pattern.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "bench/routing.hpp"
#include "common/error.hpp"

namespace llep {
namespace {

using Experts = std::vector<std::int64_t>;

constexpr MoeShape kSmall{
    .num_ranks = 2, .num_experts = 8, .max_tokens = 3, .hidden = 128, .num_topk = 4};
constexpr MoeShape kShape{
    .num_ranks = 4, .num_experts = 32, .max_tokens = 50, .hidden = 128, .num_topk = 6};

template <class F>
std::string complaint(F f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return "(none)";
}

RoutingSpec spec_of(const std::string& routing) { return {.pattern = parse_routing(routing)}; }

Experts draw(const std::string& routing, const MoeShape& shape, int rank) {
  return make_routing(shape, spec_of(routing), rank).topk_idx;
}

/// Calls `f` with the rank and the experts of every token of every rank.
void for_each_token(const std::string& routing, const MoeShape& shape,
                    const std::function<void(int rank, const Experts& token)>& f) {
  for (int rank = 0; rank < shape.num_ranks; ++rank) {
    const Experts all = draw(routing, shape, rank);
    for (auto at = all.begin(); at != all.end(); at += shape.num_topk) {
      f(rank, Experts(at, at + shape.num_topk));
    }
  }
}

int on_rank(const Experts& token, const MoeShape& shape, int rank) {
  return static_cast<int>(std::count_if(token.begin(), token.end(), [&](std::int64_t expert) {
    return shape.owner(static_cast<int>(expert)) == rank;
  }));
}

std::vector<int> rows_per_expert(const RoutingSpec& spec, const MoeShape& shape) {
  std::vector<int> rows(static_cast<std::size_t>(shape.num_experts));
  for (int rank = 0; rank < shape.num_ranks; ++rank) {
    for (const auto expert : make_routing(shape, spec, rank).topk_idx) {
      ++rows[static_cast<std::size_t>(expert)];
    }
  }
  return rows;
}

TEST(RoutingPattern, ReadsWhatItShows) {
  for (const char* text :
       {"uniform", "balanced", "zipf:1.2", "zipf:0", "hot-expert:0.1", "hot-rank:1", "local",
        "remote", "permute", "group-limited:8,4", "trace:some/folder/x.npy", "trace:a:b"}) {
    EXPECT_EQ(to_string(parse_routing(text)), text);
  }
  EXPECT_EQ(label(parse_routing("trace:some/folder/x.npy")), "trace:x.npy");
  EXPECT_EQ(label(parse_routing("zipf:1.50")), "zipf:1.5");
}

TEST(RoutingPattern, RefusesWhatItCannotRead) {
  const auto refused = [](const std::string& text) {
    return complaint([&] { parse_routing(text); });
  };
  const std::string forms =
      " is not one of uniform, balanced, zipf:S, hot-expert:F, hot-rank:F, local, remote, permute, "
      "group-limited:N,G, trace:FILE";
  for (const char* text : {"hot", "zipf", "zipf:", "local:1", "uniform:", "trace:", ""}) {
    EXPECT_EQ(refused(text), "'" + std::string(text) + "'" + forms);
  }
  EXPECT_EQ(refused("zipf:5"), "'5' is not a number from 0 to 4");
  EXPECT_EQ(refused("zipf:nan"), "'nan' is not a number from 0 to 4");
  EXPECT_EQ(refused("hot-rank:1.1"), "'1.1' is not a number from 0 to 1");
  EXPECT_EQ(refused("group-limited:4"), "'group-limited:4' is not group-limited:N,G");
  EXPECT_EQ(refused("group-limited:2,3"), "'group-limited:2,3' picks 3 of 2 groups");
  EXPECT_EQ(refused("group-limited:0,1"), "'0' is not a whole number of at least 1");
}

TEST(RoutingPattern, GroupLimitsMayBeCutAtTheirComma) {
  using Values = std::vector<std::string>;
  EXPECT_EQ(join_group_limits({"local", "group-limited:4", "2", "zipf:1"}),
            (Values{"local", "group-limited:4,2", "zipf:1"}));
  EXPECT_EQ(join_group_limits({"zipf:1", "2"}), (Values{"zipf:1", "2"}));
  EXPECT_EQ(join_group_limits({"group-limited:4", "local"}), (Values{"group-limited:4", "local"}));
}

TEST(RoutingPattern, FitsRanksAndExpertsOrSaysWhyNot) {
  const auto why = [](const char* text, const MoeShape& shape) {
    return complaint([&] { check_fits(parse_routing(text), shape); });
  };
  const MoeShape lone{.num_ranks = 1, .num_experts = 8, .num_topk = 1};
  const MoeShape nine{.num_ranks = 4, .num_experts = 32, .num_topk = 9};
  EXPECT_EQ(why("local", kShape), "(none)");
  EXPECT_EQ(why("local", nine), "--routing local: num-topk 9 is above the 8 experts of a rank");
  EXPECT_EQ(why("permute", nine), "--routing permute: num-topk 9 is above the 8 experts of a rank");
  EXPECT_EQ(why("permute", lone), "(none)");
  EXPECT_EQ(why("remote", nine), "(none)");
  EXPECT_EQ(
      why("remote", lone),
      "--routing remote: num-topk 1 is above the 0 experts of the 0 other ranks");
  EXPECT_EQ(why("hot-rank:0", lone), "(none)");
  EXPECT_EQ(why("group-limited:3,2", kShape),
            "--routing group-limited:3,2: 32 experts do not make 3 equal groups");
  EXPECT_EQ(why("group-limited:8,1", kShape),
            "--routing group-limited:8,1: num-topk 6 is above the 4 experts of 1 of 8 groups");
  EXPECT_EQ(why("group-limited:8,2", kShape), "(none)");
}

TEST(RoutingPatterns, AreTheSameInEveryVersion) {
  const auto golden = [](const char* routing) { return draw(routing, kSmall, 1); };
  EXPECT_EQ(golden("uniform"), (Experts{2, 1, 5, 6, 7, 2, 5, 1, 1, 6, 4, 0}));
  EXPECT_EQ(golden("balanced"), (Experts{4, 7, 0, 3, 2, 3, 6, 1, 5, 7, 4, 0}));
  EXPECT_EQ(golden("zipf:1.2"), (Experts{7, 0, 4, 5, 2, 4, 6, 1, 4, 6, 3, 2}));
  EXPECT_EQ(golden("hot-expert:0.1"), (Experts{1, 3, 6, 2, 0, 7, 6, 1, 7, 4, 6, 3}));
  EXPECT_EQ(golden("hot-rank:0.1"), (Experts{7, 6, 4, 5, 1, 0, 3, 2, 4, 7, 5, 6}));
  EXPECT_EQ(golden("local"), (Experts{7, 6, 4, 5, 6, 7, 5, 4, 5, 6, 4, 7}));
  EXPECT_EQ(golden("remote"), (Experts{3, 2, 0, 1, 2, 3, 1, 0, 1, 2, 0, 3}));
  EXPECT_EQ(golden("permute"), (Experts{3, 2, 0, 1, 2, 3, 1, 0, 1, 2, 0, 3}));
  EXPECT_EQ(golden("group-limited:4,2"), (Experts{2, 1, 0, 3, 7, 2, 6, 3, 1, 4, 0, 5}));
}

TEST(RoutingPatterns, GiveATokenDistinctExperts) {
  for (const char* routing :
       {"uniform", "balanced", "zipf:0", "zipf:1.2", "zipf:4", "hot-expert:0.5", "hot-rank:0.5",
        "local", "remote", "permute", "group-limited:8,2"}) {
    for_each_token(routing, kShape, [&](int, const Experts& token) {
      EXPECT_EQ(std::set(token.begin(), token.end()).size(), 6U) << routing;
      EXPECT_TRUE(std::all_of(token.begin(), token.end(), [](std::int64_t expert) {
        return expert >= 0 && expert < kShape.num_experts;
      })) << routing;
    });
  }
}

/// All experts, or all of those that may be chosen at all.
TEST(RoutingPatterns, MayNeedEveryExpert) {
  MoeShape all = kSmall;
  all.num_topk = 8;
  for (const char* routing : {"uniform", "balanced", "zipf:4", "hot-expert:0", "hot-rank:0",
                              "hot-rank:1", "group-limited:4,4"}) {
    for_each_token(routing, all, [&](int, const Experts& token) {
      EXPECT_EQ(std::set(token.begin(), token.end()).size(), 8U) << routing;
    });
  }
}

TEST(RoutingPatterns, DependOnTheSeed) {
  for (const char* routing : {"balanced", "zipf:1.2", "hot-expert:0.5", "hot-rank:0.5", "local",
                              "remote", "permute", "group-limited:8,2"}) {
    RoutingSpec spec = spec_of(routing);
    const RankRouting first = make_routing(kShape, spec, 1);
    EXPECT_EQ(first, make_routing(kShape, spec, 1)) << routing;
    spec.seed += 100;
    EXPECT_NE(first.topk_idx, make_routing(kShape, spec, 1).topk_idx) << routing;
  }
}

TEST(Balanced, ExpertsDifferByOneRowAtMost) {
  for (const int num_experts : {4, 12, 32, 64}) {
    for (const int num_topk : {1, 3, 4}) {
      for (const bool uneven : {false, true}) {
        const MoeShape shape{.num_ranks = 4,
                             .num_experts = num_experts,
                             .max_tokens = 37,
                             .hidden = 128,
                             .num_topk = num_topk};
        RoutingSpec spec = spec_of("balanced");
        if (uneven) spec.uneven_tokens.per_rank = {5, 0, 37, 8};
        const auto rows = rows_per_expert(spec, shape);
        const auto [least, most] = std::minmax_element(rows.begin(), rows.end());
        EXPECT_LE(*most - *least, 1) << num_experts << " experts, K " << num_topk;
      }
    }
  }
}

TEST(Zipf, ExpertsAreAsPopularAsTheirRank) {
  const MoeShape shape{
      .num_ranks = 2, .num_experts = 16, .max_tokens = 20000, .hidden = 128, .num_topk = 1};
  auto rows = rows_per_expert(spec_of("zipf:1.5"), shape);
  EXPECT_NE(std::max_element(rows.begin(), rows.end()), rows.begin());  // of this seed
  std::sort(rows.rbegin(), rows.rend());
  // 40000 / sum of i^-1.5 for i = 1 ... 16, which is 2.11967.
  EXPECT_NEAR(rows[0], 18871, 500);
  EXPECT_NEAR(rows[1], 6672, 300);
  EXPECT_NEAR(rows[3], 2359, 200);
  EXPECT_NEAR(rows[15], 295, 80);
}

TEST(Zipf, WithoutReplacementTheOthersMoveUp) {
  const MoeShape shape{
      .num_ranks = 1, .num_experts = 3, .max_tokens = 20000, .hidden = 128, .num_topk = 2};
  auto rows = rows_per_expert(spec_of("zipf:1"), shape);
  std::sort(rows.rbegin(), rows.rend());
  // Weights 6, 3, 2 of 11: the first is in a token with 6/11 + 3/11 * 6/8 + 2/11 * 6/9.
  EXPECT_NEAR(rows[0], 20000 * 0.87121, 300);
  EXPECT_NEAR(rows[1], 20000 * 0.65455, 300);
  EXPECT_NEAR(rows[2], 20000 * 0.47424, 300);
}

TEST(HotExpert, IsInSoManyTokens) {
  const MoeShape shape{
      .num_ranks = 4, .num_experts = 32, .max_tokens = 5000, .hidden = 128, .num_topk = 4};
  for (const double share : {0.0, 0.3, 1.0}) {
    const auto rows = rows_per_expert(spec_of("hot-expert:" + std::to_string(share)), shape);
    EXPECT_NEAR(rows[0], 20000 * share, share == 0.3 ? 300 : 0);
    const auto [least, most] = std::minmax_element(rows.begin() + 1, rows.end());
    EXPECT_LT(*most - *least, 500) << share;  // of some 2500, standard deviation 50
  }
}

TEST(HotRank, GetsSoManyTokensWhole) {
  const MoeShape shape{
      .num_ranks = 4, .num_experts = 32, .max_tokens = 5000, .hidden = 128, .num_topk = 6};
  int whole = 0;
  for_each_token("hot-rank:0.3", shape, [&](int, const Experts& token) {
    const int there = on_rank(token, shape, 0);
    EXPECT_TRUE(there == 0 || there == 6) << there;
    whole += there == 6 ? 1 : 0;
  });
  EXPECT_NEAR(whole, 6000, 300);
}

TEST(HotRank, GivesWhatItHas) {
  MoeShape shape = kSmall;
  shape.num_topk = 6;
  for_each_token("hot-rank:1", shape,
                 [&](int, const Experts& token) { EXPECT_EQ(on_rank(token, shape, 0), 4); });
  for_each_token("hot-rank:0", shape,
                 [&](int, const Experts& token) { EXPECT_EQ(on_rank(token, shape, 0), 2); });
}

TEST(LocalRemotePermute, GoWhereTheySay) {
  for_each_token("local", kShape, [](int rank, const Experts& token) {
    EXPECT_EQ(on_rank(token, kShape, rank), 6);
  });
  for_each_token("remote", kShape, [](int rank, const Experts& token) {
    EXPECT_EQ(on_rank(token, kShape, rank), 0);
  });
  for_each_token("permute", kShape, [](int rank, const Experts& token) {
    EXPECT_EQ(on_rank(token, kShape, (rank + 1) % 4), 6);
  });
}

TEST(GroupLimited, StaysInSoManyGroups) {
  std::set<std::int64_t> seen;
  for_each_token("group-limited:8,2", kShape, [&](int, const Experts& token) {
    std::set<std::int64_t> groups;
    for (const std::int64_t expert : token) groups.insert(expert / 4);
    EXPECT_EQ(groups.size(), 2U);  // 6 experts do not fit one
    seen.insert(groups.begin(), groups.end());
  });
  EXPECT_EQ(seen.size(), 8U);
}

/// From the same scores: all groups are no limit, and the group of the best two experts is picked.
TEST(GroupLimited, PicksByScore) {
  EXPECT_EQ(draw("group-limited:8,8", kShape, 2), draw("uniform", kShape, 2));
  MoeShape single = kShape;
  single.num_topk = 1;
  EXPECT_EQ(draw("group-limited:32,1", single, 2), draw("uniform", single, 2));
}

TEST(FreshRouting, EveryIterationDrawsAnewButForTheTokens) {
  RunOptions options;
  options.uneven_tokens.random = true;
  Case one{.shape = kShape};
  const RankRouting first = make_routing(one, options, 0, 1);
  EXPECT_EQ(make_routing(one, options, 7, 1), first);
  options.fresh_routing = true;
  EXPECT_EQ(make_routing(one, options, 0, 1), first);
  std::set<Experts> different;
  for (int iteration = -3; iteration < 20; ++iteration) {
    const RankRouting fresh = make_routing(one, options, iteration, 1);
    EXPECT_EQ(fresh.num_tokens, first.num_tokens);
    different.insert(fresh.topk_idx);
  }
  EXPECT_EQ(different.size(), 23U);
}

}  // namespace
}  // namespace llep
