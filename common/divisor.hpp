// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstdint>

namespace llep {

/// Divides numbers that are not negative by one that is known long before, at the price of a
/// multiplication: GPUs take some 30 instructions to divide. Source: T. Granlund, P. Montgomery,
/// "Division by Invariant Integers using Multiplication", 1994, theorem 4.2 for 31 bits.
class Divisor {
 public:
  constexpr Divisor() = default;
  /// by > 0
  constexpr explicit Divisor(int by)
      : by_(by), shift_(31 + std::bit_width(static_cast<std::uint32_t>(by) - 1U)) {
    const std::uint64_t power = std::uint64_t{1} << shift_;
    const auto divisor = static_cast<std::uint64_t>(by);
    factor_ = static_cast<std::uint32_t>((power + divisor - 1) / divisor);
  }

  constexpr int value() const { return by_; }
  constexpr int quotient(int n) const {
    return static_cast<int>(static_cast<std::uint64_t>(static_cast<std::uint32_t>(n)) * factor_ >>
                            shift_);
  }
  constexpr int remainder(int n) const { return n - quotient(n) * by_; }

 private:
  int by_ = 1;
  int shift_ = 31;
  std::uint32_t factor_ = std::uint32_t{1} << 31;
};

}  // namespace llep
