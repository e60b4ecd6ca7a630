// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace llep {

/// The increment of splitmix64: 2^64 divided by the golden ratio, odd.
inline constexpr std::uint64_t kGoldenGamma = 0x9e3779b97f4a7c15U;

/// splitmix64's finaliser (Steele, Lea, Flood 2014): a bijection, every output bit depends on every
/// input bit. Golden values of routings and payloads rest on it: never change it.
constexpr std::uint64_t mix64(std::uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9U;
  value = (value ^ value >> 27) * 0x94d049bb133111ebU;
  return value ^ value >> 31;
}

}  // namespace llep
