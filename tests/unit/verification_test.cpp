// SPDX-License-Identifier: MIT
#include "bench/verification.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <string>

#include "tests/unit/dispatch_outputs.hpp"

namespace llep {
namespace {

class Verification : public testing::Test {
 protected:
  DispatchedRow dispatched = hashed_rows(7, 42);
  ExpertRow expert_row = hashed_expert_rows(7, 43);
  Outputs outputs{dispatched, expert_row};
  const ReceivedRow& some_row = outputs.expected.rows.at(4);

  PackedRows bf16() const { return packed_bf16(kShape, outputs.bf16.data()); }
  PackedRows fp8() const { return packed_fp8(kShape, outputs.fp8.data(), outputs.scales.data()); }
  std::optional<Mismatch> combine() const {
    return check_combine(outputs.routing, kRank, outputs.combined, expert_row);
  }
};

void expect_names(const std::optional<Mismatch>& bad, const std::string& what,
                  const ReceivedRow& row, int column) {
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->what, what);
  EXPECT_EQ(bad->rank, kRank);
  EXPECT_EQ(bad->expert, kRank * kShape.num_local_experts() + row.local_expert);
  EXPECT_EQ(bad->row, row.row);
  EXPECT_EQ(bad->source, row.source);
  EXPECT_EQ(bad->token, row.token);
  EXPECT_EQ(bad->column, column);
}

TEST(Mismatch, ReadsAsOneLine) {
  EXPECT_EQ(to_string(Mismatch{.what = "dispatch",
                               .rank = 1,
                               .expert = 37,
                               .row = 5,
                               .source = 0,
                               .token = 12,
                               .column = 3,
                               .expected = describe(Bf16{0x3f80}),
                               .seen = describe(Bf16{0x7fff})}),
            "rank 1: dispatch: expert 37 row 5 (source rank 0, token 12): first bad column 3: "
            "expected 0x3f80 (1.0), seen 0x7fff (nan)");
  EXPECT_EQ(
      to_string(Mismatch{
          .what = "combine", .rank = 2, .token = 12, .column = 0, .expected = "a", .seen = "b"}),
      "rank 2: combine: token 12: first bad column 0: expected a, seen b");
  EXPECT_EQ(to_string(Mismatch{.what = "layout_range",
                               .rank = 0,
                               .expert = 3,
                               .source = 1,
                               .expected = "a",
                               .seen = "b"}),
            "rank 0: layout_range: expert 3 (source rank 1): expected a, seen b");
}

TEST(Mismatch, DescribesBitsAndValue) {
  EXPECT_EQ(describe(Fp8{0xfe}), "0xfe (-448.0)");
  EXPECT_EQ(describe(0.5F), "0x3f000000 (0.5)");
}

TEST_F(Verification, GoodOutputsPass) {
  EXPECT_GT(outputs.expected.rows.size(), 8U);
  EXPECT_FALSE(check_counts(outputs.expected, outputs.counts));
  EXPECT_FALSE(check_layout(outputs.expected, outputs.layout));
  EXPECT_FALSE(check_src_info(outputs.expected, outputs.src_info));
  EXPECT_FALSE(check_rows(outputs.expected, bf16(), dispatched));
  EXPECT_FALSE(check_rows(outputs.expected, fp8(), dispatched));
  EXPECT_FALSE(combine());
}

TEST_F(Verification, FindsAWrongCount) {
  ++outputs.counts[1];
  const auto bad = check_counts(outputs.expected, outputs.counts);
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->expert, kRank * 2 + 1);
  EXPECT_EQ(bad->seen, std::to_string(outputs.expected.packed_recv_count[1] + 1));
}

TEST_F(Verification, FindsAWrongFirstRow) {
  outputs.layout[4] += std::int64_t{1} << 32;  // expert 1, source 1
  const auto bad = check_layout(outputs.expected, outputs.layout);
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->expert, kRank * 2 + 1);
  EXPECT_EQ(bad->source, 1);
}

TEST_F(Verification, FindsAWrongSourceToken) {
  outputs.src_info[Outputs::place(some_row)] += 1;
  expect_names(check_src_info(outputs.expected, outputs.src_info), "src_info", some_row, -1);
}

TEST_F(Verification, FindsOneWrongBit) {
  outputs.bf16[Outputs::place(some_row) * kHidden + 200] ^= 1;
  expect_names(check_rows(outputs.expected, bf16(), dispatched), "dispatch", some_row, 200);

  outputs.fp8[Outputs::place(some_row) * kHidden + 255] ^= 0x80;
  expect_names(check_rows(outputs.expected, fp8(), dispatched), "dispatch", some_row, 255);
}

TEST_F(Verification, FindsAWrongScale) {
  float& scale = outputs.scales[outputs.scale_place(some_row, 1)];
  scale = std::bit_cast<float>(std::bit_cast<std::uint32_t>(scale) + 1);
  expect_names(check_rows(outputs.expected, fp8(), dispatched), "dispatch scales", some_row, 128);
}

TEST_F(Verification, FindsTheRowOfAnEarlierIteration) {
  std::vector<Bf16> stale(kHidden);
  hashed_rows(7, 40)(some_row.source, some_row.token, stale);
  outputs.store(some_row, stale);
  EXPECT_TRUE(check_rows(outputs.expected, bf16(), dispatched));
  EXPECT_TRUE(check_rows(outputs.expected, fp8(), dispatched));
}

TEST_F(Verification, RowsMayLieApart) {
  // One buffer per expert, rows 24 bytes further apart than they are long.
  const std::size_t stride = kHidden * sizeof(Bf16) + 24;
  std::vector<std::vector<std::byte>> experts(kLocalExperts);
  PackedRows apart{.dtype = DispatchDtype::kBf16, .row_stride = stride};
  for (std::size_t local = 0; local < kLocalExperts; ++local) {
    experts[local].resize(kCapacity * stride);
    for (std::size_t row = 0; row < kCapacity; ++row) {
      const auto from = std::as_bytes(
          std::span(outputs.bf16).subspan((local * kCapacity + row) * kHidden, kHidden));
      std::copy(from.begin(), from.end(), &experts[local][row * stride]);
    }
    apart.experts.push_back(experts[local].data());
  }
  EXPECT_FALSE(check_rows(outputs.expected, apart, dispatched));
  apart.row_stride -= 8;
  EXPECT_TRUE(check_rows(outputs.expected, apart, dispatched));
}

TEST_F(Verification, FindsOneWrongCombinedElement) {
  outputs.combined[2 * kHidden + 17] ^= 1;
  const auto bad = combine();
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->what, "combine");
  EXPECT_EQ(bad->rank, kRank);
  EXPECT_EQ(bad->token, 2);
  EXPECT_EQ(bad->column, 17);
}

TEST_F(Verification, FindsAMissingSelection) {
  outputs.routing.topk_idx[outputs.routing.index(kRank, 3, 0)] ^= -1;
  EXPECT_TRUE(combine());
}

TEST_F(Verification, AllMaskedTokensCombineToZero) {
  auto& topk_idx = outputs.routing.topk_idx;
  std::fill(topk_idx.begin(), topk_idx.end(), -1);
  std::fill(outputs.combined.begin(), outputs.combined.end(), Bf16{0});
  EXPECT_FALSE(combine());
  outputs.combined.back() = 0x8000;  // -0.0: other bits than the sum of nothing
  EXPECT_TRUE(combine());
}

}  // namespace
}  // namespace llep
