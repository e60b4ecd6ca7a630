// SPDX-License-Identifier: MIT
#include "kernels/payload.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <set>

namespace llep {
namespace {

int equal_columns(PayloadKey a, PayloadKey b, int hidden) {
  const std::uint64_t key_a = payload_row_key(a);
  const std::uint64_t key_b = payload_row_key(b);
  int equal = 0;
  for (int column = 0; column < hidden; ++column) {
    equal += payload_value(key_a, column) == payload_value(key_b, column) ? 1 : 0;
  }
  return equal;
}

constexpr PayloadKey kKey{.seed = 0xB3C4, .epoch = 7, .rank = 3, .token = 12, .k = -1};

TEST(Mix64, IsSplitmix64) {
  // First output of the published generator for state 1234567.
  static_assert(mix64(1234567 + kGoldenGamma) == 6457827717110365317U);
}

TEST(Payload, IsTheSameInEveryVersion) {
  static_assert(payload_row_key(kKey) == 0xd90c1555de98aa4bU);
  constexpr std::uint64_t kRowKey = payload_row_key(kKey);
  constexpr std::array<Bf16, 6> kGolden = {0x3eb4, 0xc0f4, 0xc0cc, 0xbe19, 0x3e7a, 0x40ac};
  constexpr std::array<int, 6> kColumns = {0, 1, 2, 127, 7167, 16383};
  for (std::size_t i = 0; i < kGolden.size(); ++i) {
    EXPECT_EQ(payload_value(kRowKey, kColumns[i]), kGolden[i]) << "column " << kColumns[i];
  }
}

TEST(Payload, ValuesAreFiniteNonZeroAndUseTheWholeRange) {
  std::set<Bf16> seen;
  for (int token = 0; token < 8; ++token) {
    const std::uint64_t key = payload_row_key({.seed = 1, .epoch = 1, .rank = 0, .token = token});
    for (int column = 0; column < kMaxHidden; ++column) {
      const Bf16 value = payload_value(key, column);
      const float magnitude = std::fabs(to_float(value));
      ASSERT_GE(magnitude, 0.125F);
      ASSERT_LT(magnitude, 32.0F);
      ASSERT_EQ(to_bf16(to_float(value)), value);
      seen.insert(value);
    }
  }
  EXPECT_EQ(seen.size(), 2048U);  // 1 sign, 3 exponent and 7 mantissa bits
}

TEST(Payload, KeysOfDifferentRowsDiffer) {
  std::set<std::uint64_t> keys;
  std::size_t num_keys = 0;
  for (std::uint64_t epoch : {1U, 2U, 3U}) {
    for (int rank = 0; rank < 9; ++rank) {
      for (int token = 0; token < 65; ++token) {
        for (int k = -1; k < kMaxTopk; ++k, ++num_keys) {
          keys.insert(payload_row_key({0, epoch, rank, token, k}));
        }
      }
    }
  }
  EXPECT_EQ(keys.size(), num_keys);
}

// Independent rows agree in one column of 2048: 8 of 16384; 8 standard deviations more is 32.
TEST(Payload, RowsThatMayBeMistakenForEachOtherShareHardlyAnyColumn) {
  constexpr int kMany = 32;
  const auto changed = [](auto change) {
    PayloadKey key = kKey;
    change(key);
    return equal_columns(kKey, key, kMaxHidden);
  };
  EXPECT_LT(changed([](PayloadKey& key) { ++key.epoch; }), kMany);
  EXPECT_LT(changed([](PayloadKey& key) { key.epoch += 2; }), kMany);
  EXPECT_LT(changed([](PayloadKey& key) { ++key.token; }), kMany);
  EXPECT_LT(changed([](PayloadKey& key) { ++key.rank; }), kMany);
  EXPECT_LT(changed([](PayloadKey& key) { key.k = 0; }), kMany);
  EXPECT_LT(changed([](PayloadKey& key) { ++key.seed; }), kMany);
}

TEST(Payload, BothHalvesOfTheKeyMatter) {
  const auto equal = [](std::uint64_t a, std::uint64_t b, int shift) {
    int count = 0;
    for (int column = 0; column < 8192; ++column) {
      count += payload_value(a, column) == payload_value(b, column + shift) ? 1 : 0;
    }
    return count;
  };
  constexpr std::uint64_t kRow = payload_row_key(kKey);
  EXPECT_LT(equal(kRow, kRow ^ std::uint64_t{1} << 32, 0), 32);
  EXPECT_LT(equal(kRow, kRow ^ std::uint64_t{1} << 63, 0), 32);
  EXPECT_LT(equal(kRow, kRow ^ 1, 0), 32);
  EXPECT_LT(equal(kRow, kRow, 1), 32);  // a row shifted by a column is another row
}

TEST(ReferencePayload, HoldsRankThenToken) {
  constexpr int kHidden = 512;
  static_assert(reference_payload_value(0, 5, kHidden, 0) == to_bf16(-128.0F));
  static_assert(reference_payload_value(130, 5, kHidden, 383) == to_bf16(2.0F));
  static_assert(reference_payload_value(130, 5, kHidden, 384) == to_bf16(5.0F));
  static_assert(reference_payload_value(1, 0, kHidden, 511) == 0);
  static_assert(reference_payload_value(1, 9, 128, 0) == to_bf16(9.0F));  // no room for the rank
}

}  // namespace
}  // namespace llep
