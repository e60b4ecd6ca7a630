// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "common/axes.hpp"
#include "common/divisor.hpp"
#include "common/exec/row_ops.hpp"
#include "common/moe_shape.hpp"
#include "transport/field_list.hpp"

namespace llep {

/// Names a row in the dispatch window.
struct CopyPlace {
  int parity;
  int source;  // rank
  int token;
  int copy;  // of the token's copies at the receiving rank
};

/// Where everything lies in the symmetric heap; the same on every rank. Windows, routing and
/// signal words exist twice, by parity of the epoch.
///
///   routing          [2][source][token, k]        tagged words of two int16; -1: not routed
///   dispatch rows    [2][source][token][copy]
///   combine rows     [2][token][k]                bf16 [hidden]
///   expert output    [local expert][capacity]     bf16 [hidden]; zero-copy combine only
///   combine outbox   [2][book entry]              bf16 [hidden]; homes, for wires that need them
///   signal words     one 64-bit epoch for each dispatch part, begin and combine row, and [source]
///                    of meetings
///
/// A dispatched row [hidden] bf16 or e4m3 travels in parts of equal width, each put and signalled
/// by one warp. Behind an fp8 row lie its parts' scales, each part's padded to 16 bytes.
struct EpLayout {
  MoeShape shape;
  DispatchDtype dtype = DispatchDtype::kBf16;
  std::uint32_t part_bytes = 0;        // of its columns
  std::uint32_t part_scale_bytes = 0;  // padded to 16; bf16: 0

  // Numbers that kernels divide by.
  Divisor local_experts;  // of a rank
  Divisor capacity;
  Divisor tokens;         // max_tokens
  Divisor slots;          // copies of a token that one rank may get
  Divisor parts;
  Divisor pairs;          // TaggedPair of one source's routing, four selections each
  Divisor part_groups;    // groups of columns with one scale in a part

  std::uint64_t routing = 0;
  std::uint64_t dispatch_words = 0;
  std::uint64_t dispatch_begins = 0;
  std::uint64_t combine_begins = 0;
  std::uint64_t combine_words = 0;
  std::uint64_t meetings = 0;
  std::uint64_t dispatch_rows = 0;
  std::uint64_t combine_rows = 0;
  std::uint64_t expert_output = 0;
  std::uint64_t outbox = 0;

  constexpr std::uint32_t combine_row_bytes() const { return bf16_row_bytes(shape.hidden); }

  /// Everything before it is zeroed before the first epoch.
  constexpr std::uint64_t words_end() const { return dispatch_rows; }
  constexpr int slots_per_token() const { return slots.value(); }
  constexpr int num_parts() const { return parts.value(); }
  constexpr std::uint32_t routing_pairs() const {
    return static_cast<std::uint32_t>(pairs.value());
  }
  constexpr int part_columns() const { return shape.hidden / num_parts(); }

  constexpr std::uint32_t row_bytes() const {
    return part_bytes * static_cast<std::uint32_t>(num_parts());
  }
  constexpr std::uint32_t window_stride() const {
    return (part_bytes + part_scale_bytes) * static_cast<std::uint32_t>(num_parts());
  }

  constexpr std::uint64_t dispatch_row(const CopyPlace& at) const {
    return dispatch_rows + index(at) * window_stride();
  }
  constexpr std::uint64_t dispatch_part(const CopyPlace& at, int part) const {
    return dispatch_row(at) + static_cast<std::uint32_t>(part) * part_bytes;
  }
  constexpr std::uint64_t dispatch_scales(const CopyPlace& at, int part) const {
    return dispatch_row(at) + row_bytes() + static_cast<std::uint32_t>(part) * part_scale_bytes;
  }
  constexpr std::uint64_t dispatch_word(const CopyPlace& at, int part) const {
    return dispatch_words +
           (index(at) * static_cast<std::uint64_t>(num_parts()) +
            static_cast<std::uint64_t>(part)) *
               sizeof(std::uint64_t);
  }
  constexpr std::uint64_t routing_of(int parity, int source) const {
    return routing + by_rank(parity, source) * routing_pairs() * sizeof(TaggedPair);
  }
  /// `begins`: dispatch_begins or combine_begins.
  constexpr std::uint64_t begin_word(std::uint64_t begins, int parity, int source) const {
    return begins + by_rank(parity, source) * sizeof(std::uint64_t);
  }
  constexpr std::uint64_t combine_row(int parity, int token, int k) const {
    return combine_rows + selection(parity, token, k) * combine_row_bytes();
  }
  constexpr std::uint64_t combine_word(int parity, int token, int k) const {
    return combine_words + selection(parity, token, k) * sizeof(std::uint64_t);
  }
  /// Book entries, at most.
  constexpr std::uint64_t most_entries() const {
    return static_cast<std::uint64_t>(shape.capacity()) *
           static_cast<std::uint64_t>(shape.num_topk);
  }
  /// Where a wire may keep a row that combine sends.
  constexpr std::uint64_t combine_home(int parity, int entry, int packed_row) const {
    if (outbox == 0) {
      return expert_output + static_cast<std::uint64_t>(packed_row) * combine_row_bytes();
    }
    return outbox + (static_cast<std::uint64_t>(parity) * most_entries() +
                     static_cast<std::uint64_t>(entry)) *
                        combine_row_bytes();
  }

 private:
  constexpr std::uint64_t index(const CopyPlace& at) const {
    const auto token = static_cast<std::uint64_t>(at.parity * shape.num_ranks + at.source) *
                           static_cast<std::uint64_t>(shape.max_tokens) +
                       static_cast<std::uint64_t>(at.token);
    return token * static_cast<std::uint64_t>(slots_per_token()) +
           static_cast<std::uint64_t>(at.copy);
  }
  constexpr std::uint64_t by_rank(int parity, int source) const {
    return static_cast<std::uint64_t>(parity * shape.num_ranks + source);
  }
  constexpr std::uint64_t selection(int parity, int token, int k) const {
    return static_cast<std::uint64_t>(parity * shape.max_tokens + token) *
               static_cast<std::uint64_t>(shape.num_topk) +
           static_cast<std::uint64_t>(k);
  }
};

struct EpAxes {
  MoeShape shape;
  DispatchDtype dtype = DispatchDtype::kBf16;
  DispatchCopies copies = DispatchCopies::kRank;
  bool zero_copy = false;
  bool outbox = false;  // for wires that need a home

  friend bool operator==(const EpAxes&, const EpAxes&) = default;
};

/// The layout and the list it was made from. Words that carry epochs come first.
struct PlannedLayout {
  EpLayout layout;
  FieldList fields;
};
PlannedLayout plan_layout(const EpAxes& axes);

}  // namespace llep
