// SPDX-License-Identifier: MIT
#include "bench/options.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "bench/option_values.hpp"

namespace llep {
namespace {

TEST(Mask, IsACountOrAShare) {
  EXPECT_EQ(parse_mask("1"), (MaskSpec{.selections = 1, .share = 0.0}));
  EXPECT_EQ(parse_mask("1.0"), (MaskSpec{.selections = 0, .share = 1.0}));
  EXPECT_EQ(parse_mask("0.25").count(10), 3);  // 2.5, rounded
  EXPECT_EQ(parse_mask("100%").count(7), 7);
  EXPECT_EQ(parse_mask("10").count(4), 4);  // a rank has no more than it has
}

TEST(CheckPolicy, EveryNMeansFirstAndLastToo) {
  const auto checked = [](const char* text, int num_iterations) {
    const CheckPolicy check = parse_check(text);
    std::vector<int> iterations;
    for (int i = 0; i < num_iterations; ++i) {
      if (check.checks(i, num_iterations)) iterations.push_back(i);
    }
    return iterations;
  };
  EXPECT_EQ(checked("every:10", 25), (std::vector{0, 10, 20, 24}));
  EXPECT_EQ(checked("every:10", 1), std::vector{0});
  EXPECT_EQ(checked("once", 3), std::vector{0});
  EXPECT_EQ(checked("off", 3), std::vector<int>{});
  EXPECT_EQ(checked("all", 3), (std::vector{0, 1, 2}));
}

TEST(Injection, HitsItsRankIterationAndOp) {
  const Injection one = parse_injection("corrupt:rank=1,iter=2");
  EXPECT_TRUE(one.hits(1, 2, Op::kDispatch));
  EXPECT_FALSE(one.hits(0, 2, Op::kDispatch));
  EXPECT_FALSE(one.hits(1, 3, Op::kDispatch));
  EXPECT_FALSE(one.hits(1, 2, Op::kCombine));
  EXPECT_TRUE(parse_injection("hang:rank=0,iter=all").hits(0, 19, Op::kDispatch));
}

}  // namespace
}  // namespace llep
