// SPDX-License-Identifier: MIT
#include "common/moe_shape.hpp"

#include <string>

#include <gtest/gtest.h>

#include "common/error.hpp"

namespace llep {
namespace {

constexpr MoeShape kGood = {
    .num_ranks = 4, .num_experts = 256, .max_tokens = 128, .hidden = 7168, .num_topk = 8};

/// What validate() has against kGood after `change`; empty: nothing.
template <class F>
std::string objection(F&& change) {
  MoeShape shape = kGood;
  change(shape);
  try {
    validate(shape);
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
}

TEST(MoeShape, accepts_the_extremes) {
  validate(kGood);
  validate({.num_ranks = 1, .num_experts = 1, .max_tokens = 1, .hidden = 128, .num_topk = 1});
  validate({.num_ranks = 2048,
            .num_experts = kMaxExperts,
            .max_tokens = 1,
            .hidden = kMaxHidden,
            .num_topk = kMaxTopk});
  validate({.num_ranks = 7, .num_experts = 35, .max_tokens = 1, .hidden = 128, .num_topk = 32});
}

TEST(MoeShape, names_each_size_its_value_and_what_would_be_right) {
  EXPECT_EQ(objection([](auto& s) { s.num_ranks = 0; }), "num_ranks: 0, must be at least 1");
  EXPECT_EQ(objection([](auto& s) { s.num_experts = 2052; }),
            "num_experts: 2052, must be in 1..2048");
  EXPECT_EQ(objection([](auto& s) { s.num_experts = 258; }),
            "num_experts: 258, must be a multiple of num_ranks (4), such as 256");
  EXPECT_EQ(objection([](auto& s) {
              s.num_experts = 3;
              s.num_topk = 1;
            }),
            "num_experts: 3, must be at least num_ranks (4)");
  EXPECT_EQ(objection([](auto& s) { s.max_tokens = 0; }), "max_tokens: 0, must be at least 1");
  for (const int hidden : {0, -128, 100, 7169, 16512}) {
    EXPECT_EQ(objection([&](auto& s) { s.hidden = hidden; }),
              "hidden: " + std::to_string(hidden) + ", must be a multiple of 128 in 128..16384");
  }
  EXPECT_EQ(objection([](auto& s) { s.num_topk = 0; }), "num_topk: 0, must be in 1..32");
  EXPECT_EQ(objection([](auto& s) { s.num_topk = 33; }), "num_topk: 33, must be in 1..32");
  EXPECT_EQ(objection([](auto& s) { s.num_experts = 4; }),
            "num_topk: 8, must be at most num_experts (4)");
}

TEST(MoeShape, packed_rows_must_be_counted_by_32_bits) {
  EXPECT_EQ(objection([](auto& s) { s.max_tokens = 8388607; }), "");
  EXPECT_EQ(objection([](auto& s) { s.max_tokens = 8388608; }),
            "packed rows of a rank: 2147483648, num_local_experts * num_ranks * max_tokens must "
            "be at most 2147483647: max_tokens at most 8388607 with 256 experts");
}

TEST(MoeShape, reports_all_violations_at_once) {
  EXPECT_EQ(objection([](auto& s) {
              s.hidden = 1;
              s.num_ranks = -1;
            }),
            "num_ranks: -1, must be at least 1; hidden: 1, must be a multiple of 128 in "
            "128..16384");
}

}  // namespace
}  // namespace llep
