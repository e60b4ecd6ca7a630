// SPDX-License-Identifier: MIT
#include "common/formats.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/float_patterns.hpp"

namespace llep {
namespace {

constexpr std::uint32_t kStride = 2053;  // prime: meets every exponent, sign and tail of mantissa

/// Rounding without bit tricks: the magnitudes a format holds, in order of their codes, searched
/// for the nearest; a tie goes to the even code. Doubles hold floats and their midpoints exactly.
class Oracle {
 public:
  explicit Oracle(std::vector<double> magnitudes) : magnitudes_(std::move(magnitudes)) {}

  std::uint32_t nearest(double magnitude) const {
    const auto above = std::lower_bound(magnitudes_.begin(), magnitudes_.end(), magnitude);
    if (above == magnitudes_.end()) return static_cast<std::uint32_t>(magnitudes_.size() - 1);
    const auto code = static_cast<std::uint32_t>(above - magnitudes_.begin());
    if (code == 0) return 0;
    const double up = *above - magnitude;
    const double down = magnitude - *std::prev(above);
    if (up == down) return code % 2 == 0 ? code : code - 1;
    return up < down ? code : code - 1;
  }

 private:
  std::vector<double> magnitudes_;
};

/// Significand and exponent spelt out: (-1)^s * 2^e * m / 2^bits.
double decode(std::uint32_t code, int mantissa_bits, int bias) {
  const auto mantissa = code & ((1U << mantissa_bits) - 1);
  const auto exponent = static_cast<int>(code >> mantissa_bits);
  if (exponent == 0) return std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return std::ldexp(mantissa + (1U << mantissa_bits), exponent - bias - mantissa_bits);
}

/// Codes 0..last; for bf16 the last is infinity, which rounds as if it were 2^128.
Oracle make_oracle(std::uint32_t last, int mantissa_bits, int bias) {
  std::vector<double> magnitudes;
  for (std::uint32_t code = 0; code <= last; ++code) {
    magnitudes.push_back(decode(code, mantissa_bits, bias));
  }
  return Oracle(std::move(magnitudes));
}

TEST(Bf16, decodes_what_its_fields_say) {
  for (std::uint32_t code = 0; code < 0x7f80; ++code) {
    ASSERT_EQ(to_float(static_cast<Bf16>(code)), decode(code, 7, 127));
    ASSERT_EQ(to_float(static_cast<Bf16>(code | 0x8000)), -decode(code, 7, 127));
  }
  EXPECT_EQ(to_float(0x7f80), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(to_float(0x7f81)));
}

TEST(Bf16, every_code_survives_the_round_trip) {
  for (std::uint32_t code = 0; code < 0x10000; ++code) {
    const auto bf16 = static_cast<Bf16>(code);
    const bool nan = (code & 0x7fff) > 0x7f80;
    ASSERT_EQ(to_bf16(to_float(bf16)), nan ? 0x7fff : bf16) << std::hex << code;
  }
}

TEST(Bf16, rounds_to_nearest_even) {
  const Oracle oracle = make_oracle(0x7f80, 7, 127);
  const auto wrong = find_float_pattern(kStride, [&](float value) {
    const std::uint32_t sign = std::signbit(value) ? 0x8000 : 0;
    const auto expected =
        std::isnan(value) ? 0x7fffU : sign | oracle.nearest(std::fabs(static_cast<double>(value)));
    return to_bf16(value) != expected;
  });
  EXPECT_EQ(wrong, std::nullopt);
}

TEST(Fp8, decodes_what_its_fields_say) {
  for (std::uint32_t code = 0; code < 0x7f; ++code) {
    ASSERT_EQ(fp8_to_float(static_cast<Fp8>(code)), decode(code, 3, 7));
    ASSERT_EQ(fp8_to_float(static_cast<Fp8>(code | 0x80)), -decode(code, 3, 7));
  }
  EXPECT_TRUE(std::signbit(fp8_to_float(0x80)));
  EXPECT_EQ(fp8_to_float(0x7e), kFp8Max);
  EXPECT_TRUE(std::isnan(fp8_to_float(0x7f)));
  EXPECT_TRUE(std::isnan(fp8_to_float(0xff)));
}

TEST(Fp8, every_code_survives_the_round_trip) {
  for (std::uint32_t code = 0; code < 0x100; ++code) {
    const auto fp8 = static_cast<Fp8>(code);
    ASSERT_EQ(to_fp8(fp8_to_float(fp8)), code == 0xff ? 0x7f : fp8) << std::hex << code;
  }
}

TEST(Fp8, rounds_to_nearest_even_and_saturates) {
  const Oracle oracle = make_oracle(0x7e, 3, 7);
  const auto wrong = find_float_pattern(kStride, [&](float value) {
    const std::uint32_t sign = std::signbit(value) ? 0x80 : 0;
    const auto expected =
        std::isnan(value) ? 0x7fU : sign | oracle.nearest(std::fabs(static_cast<double>(value)));
    return to_fp8(value) != expected;
  });
  EXPECT_EQ(wrong, std::nullopt);
}

TEST(Fp8Scale, brings_the_largest_magnitude_to_the_largest_code) {
  for (const float amax : {1e-4F, 0.37F, 1.0F, 448.0F, 12345.0F}) {
    EXPECT_EQ(to_fp8(amax * fp8_scale(amax)), 0x7e) << amax;
    EXPECT_NEAR(kFp8Max * fp8_scale_inverse(amax), amax, amax * 1e-6F);
  }
}

TEST(Fp8Scale, a_group_of_zeros_divides_by_something) {
  EXPECT_EQ(fp8_scale(0.0F), fp8_scale(kMinAmax));
  EXPECT_EQ(fp8_scale_inverse(0.0F), fp8_scale_inverse(kMinAmax));
  EXPECT_EQ(to_fp8(0.0F * fp8_scale(0.0F)), 0);
}

static_assert(to_bf16(1.0F) == 0x3f80 && to_fp8(1.0F) == 0x38, "usable at compile time");

}  // namespace
}  // namespace llep
