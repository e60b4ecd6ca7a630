// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "common/mix64.hpp"

namespace llep {

/// What a stream is drawn for. Streams of different purposes have nothing to do with each other;
/// a new one is appended, or the values of the others change.
enum class Purpose : std::uint64_t { kTokens, kScores, kWeights, kMask, kAllRanks };

/// A stream of random numbers (splitmix64) whose values are promised: only integer operations and
/// exact or correctly rounded additions, products and comparisons of doubles, where the standard
/// library's distributions and libm's logarithm differ between versions.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, Purpose purpose)
      : state_(mix64(mix64(seed) + static_cast<std::uint64_t>(purpose))) {}

  std::uint64_t next() { return mix64(state_ += kGoldenGamma); }

  /// 0 <= value < bound, all alike: the first 2^64 mod bound numbers are one too many.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t too_many = (0 - bound) % bound;
    for (;;) {
      const std::uint64_t value = next();
      if (value >= too_many) return value % bound;
    }
  }

  /// 0 <= value < 1
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  /// |N(0,1)|: an exponential x is kept with probability exp(-(x - 1)^2 / 2), which is that another
  /// exponential is larger than the exponent (von Neumann 1951).
  double half_normal() {
    for (;;) {
      const double x = exponential();
      const double deviation = x - 1.0;
      if (exponential() >= deviation * deviation * 0.5) return x;
    }
  }

 private:
  /// A run of falling uniforms that starts at u has odd length with probability exp(-u).
  double exponential() {
    for (double whole = 0.0;; whole += 1.0) {
      const double first = uniform();
      bool odd = true;
      double last = first;
      for (double value = uniform(); value < last; value = uniform()) {
        last = value;
        odd = !odd;
      }
      if (odd) return whole + first;
    }
  }

  std::uint64_t state_;
};

}  // namespace llep
