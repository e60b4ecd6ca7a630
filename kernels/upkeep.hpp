// SPDX-License-Identifier: MIT
#pragma once

#include "common/exec/row_ops.hpp"
#include "kernels/payload.hpp"

/// Kernels around the measured ones: they make inputs, poison outputs and judge results where the
/// rows lie.
namespace llep {

/// A row of a buffer and whose it is.
struct OwnedRow {
  std::int32_t row = 0;    // of the buffer
  std::int32_t rank = 0;   // the token's owner
  std::int32_t token = 0;  // of that rank
  std::int32_t k = -1;     // -1: the token's own row
};

/// Runs f(i) for i < n, one warp each.
template <class Warp, class F>
LLEP_DEVICE void grid_for_each(Warp& warp, int n, F f) {
  for (int i = warp.index() * warp.num_blocks() + warp.block(); i < n;
       i += warp.num_blocks() * warp.num_warps()) {
    f(i);
    warp.sync();
  }
}

/// Writes the payload of each listed row into a bf16 buffer [*, hidden].
struct FillRows {
  Bf16* to = nullptr;
  int hidden = 0;
  const OwnedRow* rows = nullptr;  // [num_rows], device memory
  int num_rows = 0;
  Payload payload = Payload::kHash;
  std::uint64_t seed = 0;
  std::uint64_t epoch = 0;

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& /*pipe*/) const {
    grid_for_each(warp, num_rows, [&](int i) {
      const OwnedRow row = rows[i];
      Bf16* place = to + static_cast<std::size_t>(row.row) * static_cast<std::size_t>(hidden);
      if (payload == Payload::kReference) {
        fill_row(warp, place, hidden, [&](int column) {
          return reference_payload_value(row.rank, row.token, hidden, column);
        });
        return;
      }
      const std::uint64_t key = payload_row_key(
          {.seed = seed, .epoch = epoch, .rank = row.rank, .token = row.token, .k = row.k});
      fill_row(warp, place, hidden, [&](int column) { return payload_value(key, column); });
    });
  }
};

/// Sets every byte of each listed row to kByte.
struct PoisonRows {
  static constexpr std::uint8_t kByte = 0xff;  // NaN in bf16 and in e4m3

  std::byte* to = nullptr;
  std::uint32_t row_bytes = 0;        // a multiple of 16
  const std::int32_t* rows = nullptr; // [num_rows], device memory
  int num_rows = 0;

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& /*pipe*/) const {
    grid_for_each(warp, num_rows, [&](int i) {
      poison_row(warp, to + static_cast<std::size_t>(rows[i]) * row_bytes, row_bytes, kByte);
    });
  }
};

/// The identity expert: bf16 rows are copied, fp8 rows dequantised.
struct ApplyExpert {
  Bf16* to = nullptr;               // [L, capacity, hidden]
  const std::byte* from = nullptr;  // packed_recv_x
  const float* scales = nullptr;    // packed_recv_scales; null: bf16
  int hidden = 0;
  int capacity = 0;
  const OwnedRow* rows = nullptr;  // [num_rows], device memory
  int num_rows = 0;

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& /*pipe*/) const {
    grid_for_each(warp, num_rows, [&](int i) {
      const int row = rows[i].row;
      const std::size_t first = static_cast<std::size_t>(row) * static_cast<std::size_t>(hidden);
      if (scales == nullptr) {
        const auto* source = reinterpret_cast<const Vec16*>(from + first * sizeof(Bf16));
        warp.for_each(hidden / kVecColumns,
                      [&](int v) { reinterpret_cast<Vec16*>(to + first)[v] = source[v]; });
        return;
      }
      const float* of_row = scales +
                            static_cast<std::size_t>(row / capacity) *
                                static_cast<std::size_t>(hidden / kScaleGroup) *
                                static_cast<std::size_t>(capacity) +
                            row % capacity;
      dequantize_row(warp, to + first, reinterpret_cast<const Fp8*>(from + first), hidden,
                     [&](int group) {
                       return of_row[static_cast<std::size_t>(group) *
                                     static_cast<std::size_t>(capacity)];
                     });
    });
  }
};

/// Two runs of 32-bit words that must be equal.
struct ComparedRow {
  std::uint64_t seen = 0;      // bytes from the start of the judged buffer
  std::uint64_t expected = 0;  // bytes from the start of the expected one
};

/// Finds the first listed row, and in it the first word, that is not as expected.
struct CompareRows {
  static constexpr std::uint64_t kEqual = ~std::uint64_t{0};

  const std::byte* seen = nullptr;
  std::uint64_t seen_word_stride = sizeof(std::uint32_t);  // transposed scales: a row of them
  const std::byte* expected = nullptr;
  int num_words = 0;                  // of each row
  const ComparedRow* rows = nullptr;  // [num_rows], device memory
  int num_rows = 0;
  std::uint64_t* first_bad = nullptr;  // row << 32 | word; kEqual: none. Pinned or device memory

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& /*pipe*/) const {
    grid_for_each(warp, num_rows, [&](int i) {
      const ComparedRow row = rows[i];
      warp.for_each(num_words, [&](int w) {
        const auto word = static_cast<std::uint64_t>(w);
        const auto left =
            *reinterpret_cast<const std::uint32_t*>(seen + row.seen + word * seen_word_stride);
        const auto right = *reinterpret_cast<const std::uint32_t*>(expected + row.expected +
                                                                   word * sizeof(left));
        if (left != right) {
          Warp::fetch_min(first_bad, static_cast<std::uint64_t>(i) << 32 | word);
        }
      });
    });
  }
};

/// Arithmetic in every warp of the device for so long: what a model computes between the halves of
/// an op.
struct Compute {
  std::uint64_t ns = 0;

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& /*pipe*/) const {
    constexpr int kStepsPerLook = 64;
    constexpr int kNeverTheTotal = -1;  // so that the work is not left out
    const std::uint64_t end = Warp::now_ns() + ns;
    int total = 0;
    do {
      const int seed = total;
      total = warp.sum(kMaxLanes, [&](int lane) {
        auto value = static_cast<std::uint32_t>(seed + lane);
        for (int i = 0; i < kStepsPerLook; ++i) value = value * 1664525U + 1013904223U;
        return static_cast<int>(value >> 8);
      });
    } while (Warp::now_ns() < end || total == kNeverTheTotal);
  }
};

}  // namespace llep
