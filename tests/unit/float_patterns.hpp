// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstdint>
#include <optional>

#include "common/formats.hpp"

namespace llep {

/// The first float's bits for which wrong(value), among patterns that are always the same: every
/// `stride`-th of all 2^32, and those around each value that either format holds and each midpoint
/// between neighbours, where rounding changes.
template <class F>
std::optional<std::uint32_t> find_float_pattern(std::uint32_t stride, F&& wrong) {
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += stride) {
    const auto pattern = static_cast<std::uint32_t>(bits);
    if (wrong(std::bit_cast<float>(pattern))) return pattern;
  }
  std::optional<std::uint32_t> found;
  const auto around = [&](std::uint32_t bits) {
    for (std::uint32_t pattern = bits - 3; pattern != bits + 4; ++pattern) {
      if (!found && wrong(std::bit_cast<float>(pattern))) found = pattern;
    }
  };
  // A bf16's neighbour is 2^16 patterns on, the midpoint half of that.
  for (std::uint32_t half = 0; half < 0x20000; ++half) around(half << 15);
  for (std::uint32_t code = 0; code < 0x7e; ++code) {
    const float low = fp8_to_float(static_cast<Fp8>(code));
    const float high = fp8_to_float(static_cast<Fp8>(code + 1));
    for (const float value : {low, (low + high) / 2, high, 464.0F, 480.0F}) {
      around(std::bit_cast<std::uint32_t>(value));
      around(std::bit_cast<std::uint32_t>(-value));
    }
  }
  return found;
}

}  // namespace llep
