// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstdint>

namespace llep {

/// A bfloat16's bits. The codecs are constexpr: host code, tests and kernels use the same text.
using Bf16 = std::uint16_t;
/// An e4m3 float's bits (finite range ±448, 0x7f/0xff are NaN).
using Fp8 = std::uint8_t;

inline constexpr float kFp8Max = 448.0F;
/// Smallest amax a group is scaled by, so that a group of zeros divides by something.
inline constexpr float kMinAmax = 1e-4F;

constexpr float to_float(Bf16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

/// Round to nearest even; any NaN becomes 0x7fff (as __float2bfloat16_rn).
constexpr Bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return 0x7fff;
  return static_cast<Bf16>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

constexpr float fp8_to_float(Fp8 value) {
  const std::uint32_t sign = (value & 0x80U) << 24;
  const std::uint32_t exponent = value >> 3 & 0xfU;
  const std::uint32_t mantissa = value & 7U;
  if (exponent == 15 && mantissa == 7) return std::bit_cast<float>(sign | 0x7fffffffU);
  if (exponent == 0) {  // subnormal: mantissa * 2^-9, exact in fp32
    const float magnitude = static_cast<float>(mantissa) * 0x1p-9F;
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 120) << 23 | mantissa << 20);
}

/// Round to nearest even, saturating to ±448 (cvt.rn.satfinite.e4m3x2.f32).
constexpr Fp8 to_fp8(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<Fp8>(bits >> 24 & 0x80U);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return 0x7f;  // NaN, sign dropped as the hardware does
  if (magnitude >= 0x43e00000U) return sign | 0x7e;  // >= 448
  if (magnitude < 0x3c800000U) {  // below 2^-6, the smallest normal: a multiple of 2^-9
    // Adding 2^14 leaves exactly the bits of weight 2^-9 and above, rounded to nearest even.
    const float shifted = std::bit_cast<float>(magnitude) + 0x1p14F;
    return sign | static_cast<Fp8>(std::bit_cast<std::uint32_t>(shifted) & 0xfU);
  }
  const std::uint32_t rounded = magnitude + 0x7ffffU + (magnitude >> 20 & 1U);
  const std::uint32_t code = (rounded >> 20) - (120U << 3);
  return sign | static_cast<Fp8>(code);
}

/// What a group with this largest magnitude is multiplied by before e4m3 rounding.
constexpr float fp8_scale(float amax) { return kFp8Max / (amax < kMinAmax ? kMinAmax : amax); }
/// What is stored beside the group: multiply by it to get the values back.
constexpr float fp8_scale_inverse(float amax) {
  return (amax < kMinAmax ? kMinAmax : amax) / kFp8Max;
}

}  // namespace llep
