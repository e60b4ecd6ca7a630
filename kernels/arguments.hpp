// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/formats.hpp"
#include "kernels/layout.hpp"
#include "kernels/op.hpp"

namespace llep {

/// A row that dispatch received, in (source, token, k) order: what combine sends back.
struct alignas(16) BookEntry {
  std::int32_t packed_row = 0;  // local expert * capacity + place
  std::int32_t source = 0;
  std::int32_t token = 0;
  std::int32_t k = 0;
};

/// What combine knows of the dispatch before it; local memory, written by dispatch's receive half.
struct Books {
  BookEntry* entries = nullptr;            // [num_ranks * max_tokens * num_topk]
  std::int32_t* first_entry = nullptr;     // [num_ranks + 1], by source; the last is their number
};

/// Inputs of dispatch; unchanged until the receive half ends.
struct DispatchInputs {
  int num_tokens = 0;                      // of this rank, at most max_tokens
  const Bf16* x = nullptr;                 // [num_tokens, hidden], 16-byte aligned
  /// [num_tokens, num_topk], global expert, distinct within a token; -1: not routed.
  const std::int64_t* topk_idx = nullptr;
};

/// Outputs of dispatch; rows are packed from 0 for each local expert, in (source, token, k) order.
struct DispatchOutputs {
  std::byte* packed_recv_x = nullptr;        // [L, capacity, hidden] bf16 or e4m3
  float* packed_recv_scales = nullptr;       // [L, hidden / 128, capacity], fp8 only
  std::int32_t* packed_recv_count = nullptr; // [L]
  std::int32_t* src_info = nullptr;          // [L, capacity] token of the source rank
  std::int64_t* layout_range = nullptr;      // [L, num_ranks]: first row << 32 | count
};

struct DispatchArgs {
  EpLayout layout;
  int rank = 0;
  OpState state;
  DispatchInputs in;
  DispatchOutputs out;
  Books books;
  int dropped_token = -1;  // fault injection: this token's rows are sent but not signalled
};

struct CombineInputs {
  const Bf16* expert_output = nullptr;     // [L, capacity, hidden], rows as dispatch packed them
  int num_tokens = 0;
  const std::int64_t* topk_idx = nullptr;  // [num_tokens, num_topk], as dispatched
  const float* topk_weights = nullptr;     // [num_tokens, num_topk]
};

struct CombineArgs {
  EpLayout layout;
  int rank = 0;
  OpState state;
  CombineInputs in;
  Books books;
  Bf16* out = nullptr;   // [num_tokens, hidden]
  int part_vecs = 0;     // 8-column vectors of a row that one warp reduces at a time
  Divisor parts;         // of a row
  int dropped_entry = -1;  // fault injection: this book entry's row is sent but not signalled
};

}  // namespace llep
