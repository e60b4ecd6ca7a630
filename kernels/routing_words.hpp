// SPDX-License-Identifier: MIT
#pragma once

#include "common/annotations.hpp"
#include "kernels/layout.hpp"

/// A rank's routing as it travels: int16 experts, two to a tagged word, four to a pair.
namespace llep::dispatch {

inline constexpr int kPairEntries = 4;

/// The expert of entry i of a pair; -1: not routed.
constexpr int entry_of(const TaggedPair& pair, int i) {
  return static_cast<std::int16_t>(pair.word[i / 2] >> (i % 2 * 16));
}
constexpr void set_entry(TaggedPair& pair, int i, int expert) {
  pair.word[i / 2] |= static_cast<std::uint64_t>(static_cast<std::uint16_t>(expert))
                      << (i % 2 * 16);
}

/// Items of routing: what one warp posts at once.
constexpr int routing_items(const EpLayout& layout) {
  return divide_up(static_cast<int>(layout.routing_pairs()), kMostPosted);
}

}  // namespace llep::dispatch
