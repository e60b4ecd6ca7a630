// SPDX-License-Identifier: MIT
#include "bench/sweep.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "common/error.hpp"

namespace llep {
namespace {

std::string complaint(const RunOptions& options, int num_ranks) {
  try {
    expand(options, num_ranks);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return "(none)";
}

TEST(Sweep, IsTheCrossProductTokensFastest) {
  RunOptions options;
  options.num_tokens = {1, 8};
  options.hidden = {256, 512};
  options.dispatch_dtypes = {DispatchDtype::kBf16, DispatchDtype::kFp8};
  options.phases = {Phases::kFused, Phases::kSplit};
  const auto cases = expand(options, 4);
  ASSERT_EQ(cases.size(), 16U);
  EXPECT_EQ(cases[0].shape.max_tokens, 1);
  EXPECT_EQ(cases[1].shape.max_tokens, 8);
  EXPECT_EQ(cases[1].shape.hidden, 256);
  EXPECT_EQ(cases[2].shape.hidden, 512);
  EXPECT_EQ(cases[3].phases, Phases::kFused);
  EXPECT_EQ(cases[4].phases, Phases::kSplit);
  EXPECT_EQ(cases[8].dtype, DispatchDtype::kFp8);
  std::set<std::string> names;
  for (const Case& one : cases) names.insert(case_name(one, Op::kDispatch, "paired", "uniform"));
  EXPECT_EQ(names.size(), cases.size());
  options.modes = {Mode::kGraph, Mode::kChained};
  EXPECT_EQ(expand(options, 4).size(), 32U);
  EXPECT_EQ(expand(options, 4).front().mode, Mode::kGraph);
}

TEST(Sweep, OpsComeInTheirOrder) {
  RunOptions options;
  options.ops = {Op::kPair, Op::kDispatch};
  const Case one = expand(options, 1).front();
  EXPECT_EQ(one.ops, (std::vector{Op::kDispatch, Op::kPair}));
  EXPECT_TRUE(one.wants(Op::kPair));
  EXPECT_FALSE(one.wants(Op::kCombine));
}

TEST(Sweep, ExpertsPerRankFollowTheRanks) {
  RunOptions options;
  options.num_experts = {};
  options.experts_per_rank = {4};
  options.num_topk = {4};
  EXPECT_EQ(expand(options, 1).front().shape.num_experts, 4);
  EXPECT_EQ(expand(options, 6).front().shape.num_experts, 24);
  options.experts_per_rank = {1'500'000'000};
  EXPECT_EQ(complaint(options, 2),
            "--experts-per-rank: 1500000000 on 2 ranks are more than 2048 experts");
}

TEST(Sweep, RefusesWhatDoesNotFit) {
  RunOptions options;
  EXPECT_NE(complaint(options, 3).find("num_experts: 256, must be a multiple of num_ranks (3)"),
            std::string::npos);
  options.num_experts = {4};
  EXPECT_NE(complaint(options, 2).find("num_topk: 8, must be at most num_experts (4)"),
            std::string::npos);
  options = {};
  options.hidden = {7000};
  EXPECT_NE(complaint(options, 2).find("hidden: 7000"), std::string::npos);
}

TEST(Sweep, RoutingsAreAnAxisThatFits) {
  RunOptions options;
  options.num_tokens = {1, 8};
  options.routings = {parse_routing("zipf:1.2"), parse_routing("group-limited:8,4")};
  const auto cases = expand(options, 4);
  ASSERT_EQ(cases.size(), 4U);
  EXPECT_EQ(label(cases[1]), "auto bf16 rank fused paired E256 K8 H7168 T8 zipf:1.2");
  EXPECT_EQ(label(cases[2]), "auto bf16 rank fused paired E256 K8 H7168 T1 group-limited:8,4");
  options.routings.push_back(parse_routing("remote"));
  EXPECT_EQ(complaint(options, 4), "(none)");
  EXPECT_EQ(complaint(options, 1),
            "--routing remote: num-topk 8 is above the 0 experts of the 0 other ranks");
}

TEST(Sweep, UnevenTokensFitRanksAndTokens) {
  RunOptions options;
  options.num_tokens = {128, 8};
  options.uneven_tokens.per_rank = {0, 8};
  EXPECT_EQ(complaint(options, 2), "(none)");
  EXPECT_EQ(complaint(options, 4), "--uneven-tokens: 2 values for 4 ranks");
  options.uneven_tokens.per_rank = {0, 9};
  EXPECT_EQ(complaint(options, 2), "--uneven-tokens: 9 is above --num-tokens 8");
}

TEST(Sweep, AnInjectionNeedsItsRank) {
  RunOptions options;
  options.inject = parse_injection("drop:rank=2,iter=0");
  EXPECT_EQ(complaint(options, 4), "(none)");
  EXPECT_EQ(complaint(options, 2), "--inject: rank=2, but there are 2 ranks");
}

TEST(Sweep, FlushesNothingWithinAChain) {
  RunOptions options;
  options.flush_l2 = true;
  options.modes = {Mode::kPaired, Mode::kFresh};
  EXPECT_EQ(complaint(options, 2), "(none)");
  for (const Mode mode : {Mode::kChained, Mode::kGraph}) {
    options.modes = {Mode::kPaired, mode};
    EXPECT_EQ(complaint(options, 2),
              "--flush-l2: between the ops of a chain there is no flush; use --mode paired or fresh");
  }
}

TEST(CaseName, HasAllAxesInTheirPlaces) {
  RunOptions options;
  Case one = expand(options, 4).front();
  one.transport = "ipc";
  EXPECT_EQ(case_name(one, Op::kDispatch, mode_label(one, options), routing_label(one, options)),
            "dispatch/ipc/bf16/rank/fused/paired/R4/E256/K8/H7168/T128/uniform");
  one.dtype = DispatchDtype::kFp8;
  one.copies = DispatchCopies::kSelection;
  one.phases = Phases::kSplit;
  one.mode = Mode::kChained;
  options.zero_copy = true;
  options.mask.selections = 10;
  options.uneven_tokens.random = true;
  options.fresh_routing = true;
  one.routing = parse_routing("trace:a/folder/x.npy");
  EXPECT_EQ(case_name(one, Op::kPair, mode_label(one, options), routing_label(one, options)),
            "pair/ipc/fp8/selection/split/chained-zero-copy/R4/E256/K8/H7168/T128/"
            "trace:x.npy-mask10-uneven-fresh");
}

}  // namespace
}  // namespace llep
