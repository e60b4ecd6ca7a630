// SPDX-License-Identifier: MIT
// Row operations of the host executor against plain code, bit for bit, lanes in either order.
#include "common/exec/row_ops.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/reference.hpp"
#include "tests/unit/lone_warp.hpp"

namespace llep {
namespace {

constexpr Bf16 kPoison = 0xeeee;
constexpr int kColumnCounts[] = {128, 256, 384, 512, 1408, 7168, 8192, 16256, 16384};

std::size_t size(int n) { return static_cast<std::size_t>(n); }

/// n bf16 values, aligned as rows are; and what lies around them.
class Row {
 public:
  explicit Row(int n) : vecs_(size(n / kVecColumns + 2)) {
    std::fill_n(reinterpret_cast<Bf16*>(vecs_.data()), vecs_.size() * kVecColumns, kPoison);
  }
  Bf16* data() { return reinterpret_cast<Bf16*>(vecs_.data() + 1); }
  std::span<Bf16> span() { return {data(), (vecs_.size() - 2) * kVecColumns}; }
  bool margins_untouched() const {
    const auto* first = reinterpret_cast<const Bf16*>(vecs_.data());
    const auto* last = reinterpret_cast<const Bf16*>(vecs_.data() + vecs_.size() - 1);
    const auto poison = [](Bf16 value) { return value == kPoison; };
    return std::all_of(first, first + kVecColumns, poison) &&
           std::all_of(last, last + kVecColumns, poison);
  }

 private:
  std::vector<Vec16> vecs_;
};

/// Finite values of all magnitudes, zeros and subnormals among them.
void randomise(std::span<Bf16> row, std::mt19937& random) {
  for (Bf16& value : row) {
    do {
      value = static_cast<Bf16>(random());
    } while ((value & 0x7f80U) == 0x7f80U);
  }
}

class RowOps : public testing::TestWithParam<bool> {
 protected:
  host::Warp& warp() { return lone_.warp(); }
  std::mt19937 random_{1};

 private:
  LoneWarp lone_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(LaneOrder, RowOps, testing::Bool(), [](const auto& one) {
  return one.param ? "reversed" : "straight";
});

TEST_P(RowOps, fill_row_writes_each_column_and_no_more) {
  for (const int hidden : kColumnCounts) {
    Row row(hidden);
    fill_row(warp(), row.data(), hidden, [](int c) { return static_cast<Bf16>(c * 3 + 1); });
    for (int c = 0; c < hidden; ++c) {
      ASSERT_EQ(row.data()[c], static_cast<Bf16>(c * 3 + 1)) << hidden << " columns: " << c;
    }
    EXPECT_TRUE(row.margins_untouched());
  }
}

TEST_P(RowOps, poison_row_writes_each_byte_and_no_more) {
  for (const int hidden : kColumnCounts) {
    for (const auto byte : {std::uint8_t{0}, std::uint8_t{0x5a}, std::uint8_t{0xff}}) {
      Row row(hidden);
      poison_row(warp(), reinterpret_cast<std::byte*>(row.data()), bf16_row_bytes(hidden), byte);
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(row.data());
      EXPECT_TRUE(std::all_of(bytes, bytes + bf16_row_bytes(hidden),
                              [&](std::uint8_t seen) { return seen == byte; }));
      EXPECT_TRUE(row.margins_untouched());
    }
  }
}

/// quantize's codes and scales are quantize_row's.
void expect_quantized(host::Warp& warp, std::span<const Bf16> x) {
  const auto n = static_cast<int>(x.size());
  constexpr std::uint32_t kPoisonWord = 0xeeeeeeee;
  std::vector<Vec16> out(round_up(fp8_row_bytes(n), 16) / 16 + 1,
                         Vec16{{kPoisonWord, kPoisonWord, kPoisonWord, kPoisonWord}});
  auto* bytes = reinterpret_cast<std::byte*>(out.data());
  quantize(warp, bytes, x.data(), n);
  std::vector<Fp8> codes(x.size());
  std::vector<float> scales(x.size() / kScaleGroup);
  quantize_row(x, codes, scales);
  ASSERT_EQ(std::memcmp(bytes, codes.data(), codes.size()), 0);
  ASSERT_EQ(std::memcmp(bytes + n, scales.data(), scales.size() * sizeof(float)), 0);
  for (std::size_t at = fp8_row_bytes(n); at < out.size() * sizeof(Vec16); ++at) {
    ASSERT_EQ(bytes[at], std::byte{0xee}) << "wrote beyond the scales";
  }
}

TEST_P(RowOps, quantize_gives_the_reference_bits) {
  for (const int hidden : kColumnCounts) {
    for (int round = 0; round < 8; ++round) {
      Row row(hidden);
      randomise(row.span(), random_);
      expect_quantized(warp(), row.span());
    }
  }
}

/// Every bf16, neighbours in one group, then values of all magnitudes: an odd step visits all.
template <class F>
void for_each_order_of_all(F f) {
  for (const std::uint32_t step : {1U, 257U, 511U}) {
    Row row(0x10000);
    for (std::uint32_t i = 0; i < 0x10000; ++i) row.span()[i] = static_cast<Bf16>(i * step);
    f(row.span());
  }
}

TEST_P(RowOps, quantize_gives_the_reference_bits_of_every_bf16) {
  for_each_order_of_all([&](std::span<Bf16> row) {
    for (Bf16& value : row) {
      if (std::isnan(to_float(value))) value |= 0x40U;  // quiet
    }
    expect_quantized(warp(), row);
  });
}

TEST_P(RowOps, quantize_passes_over_signaling_nans_in_the_largest_magnitude) {
  for_each_order_of_all([&](std::span<Bf16> row) { expect_quantized(warp(), row); });
}

TEST_P(RowOps, quantize_groups_of_one_kind) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float value : {0.0F, -0.0F, 0x1p-133F, 1e-5F, 9.9e-5F, 1e-4F, 1.1e-4F, 448.0F, -3e38F,
                            infinity, -infinity, std::nanf("")}) {
    Row row(384);  // the odd one in a group of its kind, of zeros, of ones
    std::fill_n(row.data(), 128, to_bf16(value));
    std::fill_n(row.data() + 128, 128, Bf16{0});
    std::fill_n(row.data() + 256, 128, to_bf16(1.0F));
    row.data()[200] = row.data()[300] = to_bf16(value);
    expect_quantized(warp(), row.span());
  }
}

TEST_P(RowOps, quantize_what_tiny_groups_are) {
  // Below kMinAmax the scale is kMinAmax's: the values shrink instead of being blown up.
  Row row(128);
  std::fill_n(row.data(), 128, to_bf16(kMinAmax / 2));
  std::vector<Vec16> out(16);
  auto* bytes = reinterpret_cast<std::byte*>(out.data());
  quantize(warp(), bytes, row.data(), 128);
  float scale = 0;
  std::memcpy(&scale, bytes + 128, sizeof scale);
  EXPECT_EQ(scale, kMinAmax / kFp8Max);
  EXPECT_NEAR(fp8_to_float(static_cast<Fp8>(bytes[5])), kFp8Max / 2, kFp8Max / 32);
}

TEST_P(RowOps, dequantize_row_multiplies_by_the_group_scale) {
  for (const int hidden : kColumnCounts) {
    std::vector<Fp8> codes(size(hidden));
    for (Fp8& code : codes) code = static_cast<Fp8>(random_());
    std::vector<float> scales(size(hidden / kScaleGroup));
    for (float& scale : scales) scale = static_cast<float>(random_() % 1'000 + 1) * 1e-3F;
    Row row(hidden);
    dequantize_row(warp(), row.data(), codes.data(), hidden,
                   [&](int group) { return scales[size(group)]; });
    for (int c = 0; c < hidden; ++c) {
      const float value = fp8_to_float(codes[size(c)]) * scales[size(c / kScaleGroup)];
      ASSERT_EQ(row.data()[c], to_bf16(value)) << c;
    }
    EXPECT_TRUE(row.margins_untouched());
  }
}

/// The weighted sum of a whole row, taken `part` vectors at a time as combine's warps do.
template <int kVecsPerLane>
void expect_sum(host::Warp& warp, std::mt19937& random, int hidden, int num_rows,
                std::uint32_t valid, int part) {
  std::vector<Row> rows(size(num_rows), Row(hidden));
  std::vector<float> weights(size(num_rows));
  std::vector<float> used_weights;
  std::vector<const Bf16*> used_rows;
  for (int k = 0; k < num_rows; ++k) {
    randomise(rows[size(k)].span(), random);
    weights[size(k)] = std::normal_distribution<float>()(random);
    if ((valid >> k & 1U) == 0) continue;
    used_weights.push_back(weights[size(k)]);
    used_rows.push_back(rows[size(k)].data());
  }
  Row expected(hidden);
  combine_row({used_weights, used_rows}, expected.span());
  const auto row = [&](int k) {
    // A row that takes no part must not be looked at.
    return (valid >> k & 1U) == 0 ? nullptr
                                  : reinterpret_cast<const Vec16*>(rows[size(k)].data());
  };
  const auto weight = [&](int k) { return weights[size(k)]; };
  const WeightedRows<decltype(row), decltype(weight)> sum{
      .num_rows = num_rows, .valid = valid, .row = row, .weight = weight};
  Row out(hidden);
  const int vecs = hidden / kVecColumns;
  for (int first = 0; first < vecs; first += part) {
    weighted_sum<kVecsPerLane>(warp, reinterpret_cast<Vec16*>(out.data()), sum, first,
                               std::min(part, vecs - first));
    if (first + part >= vecs) break;
    ASSERT_EQ(out.data()[(first + part) * kVecColumns], kPoison) << "wrote beyond its part";
  }
  ASSERT_TRUE(std::ranges::equal(out.span(), expected.span()))
      << hidden << " columns, " << num_rows << " rows, mask " << std::hex << valid;
  ASSERT_TRUE(out.margins_untouched());
}

void expect_sums(host::Warp& warp, std::mt19937& random, int hidden, int num_rows,
                 std::uint32_t valid) {
  expect_sum<1>(warp, random, hidden, num_rows, valid, kMaxLanes);
  expect_sum<1>(warp, random, hidden, num_rows, valid, 7);
  expect_sum<4>(warp, random, hidden, num_rows, valid, 4 * kMaxLanes);
  expect_sum<4>(warp, random, hidden, num_rows, valid, 45);
}

TEST_P(RowOps, weighted_sum_gives_the_reference_bits_for_every_number_of_rows) {
  for (int num_rows = 1; num_rows <= kMaxTopk; ++num_rows) {
    const std::uint32_t all = ~0U >> (32 - num_rows);
    for (const std::uint32_t mask : {all, 0U, 1U, 1U << (num_rows - 1), 0x55555555U, 0xaaaaaaaaU,
                                     static_cast<std::uint32_t>(random_()),
                                     static_cast<std::uint32_t>(random_())}) {
      expect_sums(warp(), random_, 384, num_rows, mask & all);
    }
  }
}

TEST_P(RowOps, weighted_sum_gives_the_reference_bits_for_all_widths) {
  for (const int hidden : kColumnCounts) {
    expect_sums(warp(), random_, hidden, 9, 0x1dbU);
    expect_sums(warp(), random_, hidden, 3, 7U);
  }
}

TEST_P(RowOps, weighted_sum_of_every_mask_of_ten_rows) {
  for (std::uint32_t mask = 0; mask < 1U << 10; ++mask) {
    expect_sum<4>(warp(), random_, 128, 10, mask, 4 * kMaxLanes);
  }
}

TEST(Vec16Columns, set_and_read_back) {
  Vec16 vec;
  for (int c = 0; c < kVecColumns; ++c) set_column(vec, c, static_cast<Bf16>(0x8001 + c));
  for (int c = 0; c < kVecColumns; ++c) EXPECT_EQ(column_of(vec, c), 0x8001 + c);
  EXPECT_EQ(vec.word[0], 0x80028001U);  // the lower column in the lower half
}

}  // namespace
}  // namespace llep
