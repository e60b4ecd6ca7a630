// SPDX-License-Identifier: MIT
// Our codecs against the host functions of CUDA's headers; needs the headers, no GPU.
#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>

#include <gtest/gtest.h>

#include "common/formats.hpp"
#include "tests/unit/float_patterns.hpp"

namespace llep {
namespace {

/// All 2^32 patterns where the compiler optimises (10 s), a sample of them where it does not.
#ifdef NDEBUG
constexpr std::uint32_t kStride = 1;
#else
constexpr std::uint32_t kStride = 257;
#endif

bool same(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

TEST(FormatsCuda, bf16_decodes_alike) {
  for (std::uint32_t code = 0; code < 0x10000; ++code) {
    const auto bits = static_cast<Bf16>(code);
    const float theirs = __bfloat162float(__nv_bfloat16(__nv_bfloat16_raw{bits}));
    ASSERT_TRUE(same(to_float(bits), theirs)) << std::hex << code;
  }
}

TEST(FormatsCuda, bf16_encodes_alike) {
  const auto wrong = find_float_pattern(kStride, [](float value) {
    const __nv_bfloat16_raw theirs = __float2bfloat16_rn(value);
    return to_bf16(value) != theirs.x;
  });
  EXPECT_EQ(wrong, std::nullopt);
}

TEST(FormatsCuda, fp8_decodes_alike) {
  for (std::uint32_t code = 0; code < 0x100; ++code) {
    const auto bits = static_cast<Fp8>(code);
    __nv_fp8_e4m3 theirs;
    theirs.__x = bits;
    ASSERT_TRUE(same(fp8_to_float(bits), static_cast<float>(theirs))) << std::hex << code;
  }
}

TEST(FormatsCuda, fp8_encodes_alike) {
  const auto wrong = find_float_pattern(kStride, [](float value) {
    return to_fp8(value) != __nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3);
  });
  EXPECT_EQ(wrong, std::nullopt);
}

}  // namespace
}  // namespace llep
