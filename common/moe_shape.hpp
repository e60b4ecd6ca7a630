// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace llep {

/// Elements that share one FP8 scale; hidden sizes are multiples of it.
inline constexpr int kScaleGroup = 128;
inline constexpr int kMaxHidden = 16384;
inline constexpr int kMaxTopk = 32;
inline constexpr int kMaxExperts = 2048;

enum class DispatchDtype : int { kBf16, kFp8 };

/// Sizes of one layer, the same on every rank.
struct MoeShape {
  int num_ranks = 1;
  int num_experts = 1;  // a multiple of num_ranks
  int max_tokens = 1;   // per rank
  int hidden = kScaleGroup;
  int num_topk = 1;

  constexpr int num_local_experts() const { return num_experts / num_ranks; }
  constexpr int owner(int expert) const { return expert / num_local_experts(); }
  /// Rows of one local expert in the packed layout: [num_local_experts, capacity, hidden].
  constexpr std::int64_t capacity() const {
    return static_cast<std::int64_t>(num_ranks) * max_tokens;
  }
  /// From the one after `rank` on in a circle, `distance` < num_ranks places.
  constexpr int rank_after(int rank, int distance) const {
    const int next = rank + 1 + distance;
    return next < num_ranks ? next : next - num_ranks;
  }
  constexpr int num_scales() const { return hidden / kScaleGroup; }

  friend constexpr bool operator==(const MoeShape&, const MoeShape&) = default;
};

/// Throws Error(kUsage) naming the offending size, its value and what would be right.
void validate(const MoeShape& shape);

}  // namespace llep
