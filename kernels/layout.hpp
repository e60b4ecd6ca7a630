// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "common/axes.hpp"
#include "common/exec/row_ops.hpp"
#include "common/moe_shape.hpp"
#include "transport/field_list.hpp"

namespace llep {

/// Where everything lies in the symmetric heap; the same on every rank. Windows, routing and
/// signal words exist twice, by parity of the epoch.
///
///   routing          [2][source][token, k]        int16 global expert, -1: not routed
///   dispatch rows    [2][source][token][slot]     one slot per copy of a token
///   combine rows     [2][token][k]                bf16 [hidden]
///   expert output    [local expert][capacity]     bf16 [hidden]; zero-copy combine only
///   signal words     one 64-bit epoch for each routing, dispatch row, begin and combine row
struct EpLayout {
  MoeShape shape;
  DispatchDtype dtype = DispatchDtype::kBf16;
  int slots_per_token = 1;  // copies of a token that one rank may get
  std::uint32_t dispatch_row_bytes = 0;
  std::uint32_t dispatch_stride = 0;  // padded to 16
  std::uint32_t routing_bytes = 0;    // of one source; padded to 16

  std::uint64_t routing_words = 0;
  std::uint64_t dispatch_words = 0;
  std::uint64_t begin_words = 0;
  std::uint64_t combine_words = 0;
  std::uint64_t routing = 0;
  std::uint64_t dispatch_rows = 0;
  std::uint64_t combine_rows = 0;
  std::uint64_t expert_output = 0;

  constexpr std::uint32_t combine_row_bytes() const { return bf16_row_bytes(shape.hidden); }

  constexpr std::uint64_t slot(int parity, int source, int token, int copy) const {
    const auto row = static_cast<std::uint64_t>(parity * shape.num_ranks + source) *
                         static_cast<std::uint64_t>(shape.max_tokens) +
                     static_cast<std::uint64_t>(token);
    return row * static_cast<std::uint64_t>(slots_per_token) + static_cast<std::uint64_t>(copy);
  }
  constexpr std::uint64_t dispatch_row(int parity, int source, int token, int copy) const {
    return dispatch_rows + slot(parity, source, token, copy) * dispatch_stride;
  }
  constexpr std::uint64_t dispatch_word(int parity, int source, int token, int copy) const {
    return dispatch_words + slot(parity, source, token, copy) * sizeof(std::uint64_t);
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
