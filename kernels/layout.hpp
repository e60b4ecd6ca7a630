// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "common/axes.hpp"
#include "common/exec/row_ops.hpp"
#include "common/moe_shape.hpp"
#include "transport/field_list.hpp"

namespace llep {

/// Names a part of a row in the dispatch window.
struct PartPlace {
  int parity;
  int source;  // rank
  int token;
  int copy;  // of the token's copies at the receiving rank
  int part;
};

/// Where everything lies in the symmetric heap; the same on every rank. Windows, routing and
/// signal words exist twice, by parity of the epoch.
///
///   routing          [2][source][token, k]        int16 global expert, -1: not routed
///   dispatch rows    [2][source][token][copy][part]
///   combine rows     [2][token][k]                bf16 [hidden]
///   expert output    [local expert][capacity]     bf16 [hidden]; zero-copy combine only
///   signal words     one 64-bit epoch for each routing, dispatch part, begin and combine row
///
/// A dispatched row travels in parts of equal width, each put and signalled by one warp: bf16
/// columns, or e4m3 columns followed by their scales.
struct EpLayout {
  MoeShape shape;
  DispatchDtype dtype = DispatchDtype::kBf16;
  int slots_per_token = 1;  // copies of a token that one rank may get
  int num_parts = 1;
  std::uint32_t part_stride = 0;    // bytes, padded to 16
  std::uint32_t routing_bytes = 0;  // of one source; padded to 16

  std::uint64_t routing_words = 0;
  std::uint64_t dispatch_words = 0;
  std::uint64_t begin_words = 0;
  std::uint64_t combine_words = 0;
  std::uint64_t routing = 0;
  std::uint64_t dispatch_rows = 0;
  std::uint64_t combine_rows = 0;
  std::uint64_t expert_output = 0;

  constexpr std::uint32_t combine_row_bytes() const { return bf16_row_bytes(shape.hidden); }

  constexpr int part_columns() const { return shape.hidden / num_parts; }

  constexpr std::uint64_t dispatch_part(const PartPlace& at) const {
    return dispatch_rows + index(at) * part_stride;
  }
  constexpr std::uint64_t dispatch_word(const PartPlace& at) const {
    return dispatch_words + index(at) * sizeof(std::uint64_t);
  }
  constexpr std::uint64_t routing_of(int parity, int source) const {
    return routing + by_rank(parity, source) * routing_bytes;
  }
  constexpr std::uint64_t routing_word(int parity, int source) const {
    return routing_words + by_rank(parity, source) * sizeof(std::uint64_t);
  }
  constexpr std::uint64_t begin_word(int parity, int source) const {
    return begin_words + by_rank(parity, source) * sizeof(std::uint64_t);
  }
  constexpr std::uint64_t combine_row(int parity, int token, int k) const {
    return combine_rows + selection(parity, token, k) * combine_row_bytes();
  }
  constexpr std::uint64_t combine_word(int parity, int token, int k) const {
    return combine_words + selection(parity, token, k) * sizeof(std::uint64_t);
  }

 private:
  constexpr std::uint64_t index(const PartPlace& at) const {
    const auto token = static_cast<std::uint64_t>(at.parity * shape.num_ranks + at.source) *
                           static_cast<std::uint64_t>(shape.max_tokens) +
                       static_cast<std::uint64_t>(at.token);
    const std::uint64_t copy = token * static_cast<std::uint64_t>(slots_per_token) +
                               static_cast<std::uint64_t>(at.copy);
    return copy * static_cast<std::uint64_t>(num_parts) + static_cast<std::uint64_t>(at.part);
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

  friend bool operator==(const EpAxes&, const EpAxes&) = default;
};

/// The layout and the list it was made from. Signal words come first, `signal_bytes` at least:
/// a run gives the maximum over its cases, so that rows of one case never lie on words of another.
struct PlannedLayout {
  EpLayout layout;
  FieldList fields;
};
PlannedLayout plan_layout(const EpAxes& axes, std::uint64_t signal_bytes = 0);
/// Bytes of the signal words of one case, the head of the heap.
std::uint64_t signal_bytes(const EpAxes& axes);

}  // namespace llep
