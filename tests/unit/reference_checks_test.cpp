// SPDX-License-Identifier: MIT
#include "bench/reference_checks.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/dispatch_outputs.hpp"

namespace llep {
namespace {

class ReferenceChecks : public testing::Test {
 protected:
  Outputs outputs{reference_rows(), identity_expert(reference_rows())};

  std::optional<Mismatch> counts() const {
    return check_reference_counts(outputs.routing, kRank, outputs.counts, outputs.layout);
  }
  std::optional<Mismatch> bf16_rows() const {
    return check_reference_rows(kShape, kRank, outputs.counts,
                                packed_bf16(kShape, outputs.bf16.data()));
  }
  std::optional<Mismatch> fp8_rows() const {
    return check_reference_rows(kShape, kRank, outputs.counts,
                                packed_fp8(kShape, outputs.fp8.data(), outputs.scales.data()));
  }
  std::optional<Mismatch> combine() const {
    return check_reference_combine(outputs.routing, kRank, outputs.combined);
  }
};

TEST_F(ReferenceChecks, GoodOutputsPass) {
  EXPECT_FALSE(counts());
  EXPECT_FALSE(bf16_rows());
  EXPECT_FALSE(fp8_rows());
  EXPECT_FALSE(combine());
}

TEST_F(ReferenceChecks, FindsAWrongCountAndAWrongSum) {
  ++outputs.layout[0];
  EXPECT_EQ(counts().value().what, "reference test, sum of layout_range");
  --outputs.layout[0];
  --outputs.counts[1];
  EXPECT_EQ(counts().value().what, "reference test, packed_recv_count");
}

TEST_F(ReferenceChecks, FindsAnUnevenRow) {
  const ReceivedRow& row = outputs.expected.rows.back();
  const std::size_t at = Outputs::place(row) * kHidden;
  outputs.bf16[at + 127] = 0;
  ASSERT_TRUE(bf16_rows());
  EXPECT_EQ(bf16_rows()->column, 127);
  outputs.bf16[at + 127] = 0x7fff;
  EXPECT_TRUE(bf16_rows());
  outputs.fp8[at + 1] ^= 0x80;
  EXPECT_TRUE(fp8_rows());
}

TEST_F(ReferenceChecks, AllowsOneRoundingStepWhereItIsLargeAndNoMore) {
  Bf16& element = outputs.combined[0];  // about -127 times the sum of the weights
  ASSERT_GT(std::fabs(to_float(element)), 2.0F);
  ++element;
  EXPECT_FALSE(combine());
  ++element;
  EXPECT_TRUE(combine());
}

TEST_F(ReferenceChecks, FindsNanAndSmallDifferences) {
  const Bf16 good = outputs.combined[0];
  outputs.combined[0] = 0x7fff;
  EXPECT_TRUE(combine());
  outputs.combined[0] = good;
  ASSERT_EQ(outputs.combined[kHidden - 1], 0);  // token 0
  outputs.combined[kHidden - 1] = to_bf16(0.011F);
  EXPECT_TRUE(combine());
  outputs.combined[kHidden - 1] = to_bf16(0.009F);
  EXPECT_FALSE(combine());
}

}  // namespace
}  // namespace llep
