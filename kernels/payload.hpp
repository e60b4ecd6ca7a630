// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "common/formats.hpp"
#include "common/mix64.hpp"
#include "common/moe_shape.hpp"

namespace llep {

/// What the rows hold: a hash of (seed, epoch, rank, token, column), or the reference test's
/// construction.
enum class Payload : int { kHash, kReference };

/// Whose row it is and when. Ranks below 2^24, k below 255.
struct PayloadKey {
  std::uint64_t seed = 0;
  std::uint64_t epoch = 0;
  int rank = 0;   // the token's owner
  int token = 0;  // of that rank
  int k = -1;     // -1: the token's own row x; else: what the expert of selection k sends back
};

/// What payload_value needs of a row; computed once per row.
///
/// A bijection of (rank, token, k) for one seed and epoch, and of the epoch for one row: two rows
/// of one epoch never share a key, nor does a row with itself in another epoch.
constexpr std::uint64_t payload_row_key(PayloadKey key) {
  const std::uint64_t row = static_cast<std::uint64_t>(static_cast<std::uint32_t>(key.rank)) << 40 |
                            static_cast<std::uint64_t>(static_cast<std::uint32_t>(key.token)) << 8 |
                            (static_cast<std::uint32_t>(key.k + 1) & 0xffU);
  const std::uint64_t run = mix64(key.seed + kGoldenGamma);
  return mix64((mix64(run ^ key.epoch) + kGoldenGamma) ^ row);
}

/// One element of a row: random sign, exponent (2^-3 <= |value| < 2^5) and 7 mantissa bits, so it
/// is finite, never zero and exactly a bf16; sums of 32 of them stay far from fp32's limits.
///
/// Two 32-bit multiplications an element. The key's upper half enters between them: keys with equal
/// lower halves, or lower halves a few columns' steps apart, give unrelated rows all the same.
constexpr Bf16 payload_value(std::uint64_t row_key, int column) {
  constexpr std::uint32_t kSmallestExponent = 127 - 3;
  auto hash =
      static_cast<std::uint32_t>(row_key) + static_cast<std::uint32_t>(column) * 0x9e3779b9U;
  hash = (hash ^ hash >> 16) * 0x21f0aaadU;
  hash ^= static_cast<std::uint32_t>(row_key >> 32);
  hash = (hash ^ hash >> 15) * 0x735a2d97U;
  // The product's upper bits are its best: sign, 3 bits of exponent, 7 of mantissa.
  return static_cast<Bf16>((hash >> 16 & 0x8000U) |
                           ((kSmallestExponent << 7) + (hash >> 21 & 0x3ffU)));
}

/// The reference test's row x: (rank - 128) everywhere but in the last 128 columns, which hold the
/// token index (rounded to bf16 above 256).
constexpr Bf16 reference_payload_value(int rank, int token, int hidden, int column) {
  constexpr int kRankOffset = 128;
  constexpr int kTokenColumns = 128;
  const int value = column < hidden - kTokenColumns ? rank - kRankOffset : token;
  return to_bf16(static_cast<float>(value));
}

}  // namespace llep
