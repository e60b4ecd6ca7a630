// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include "common/annotations.hpp"
#include "common/exec/model.hpp"
#include "common/formats.hpp"
#include "common/moe_shape.hpp"

#ifdef __CUDACC__
#include <cuda_fp8.h>

#include "common/exec/cuda_executor.cuh"
#else
#include "common/exec/host_executor.hpp"
#endif

/// What warps do to rows. Everything that needs no talk between lanes is written once; both
/// executors give the same bits (explicit fmaf in a fixed order, IEEE division, no contraction).
namespace llep {

/// Columns in a Vec16.
inline constexpr int kVecColumns = 8;

/// Bytes of a row on the wire: bf16, or e4m3 followed by one fp32 scale per 128 columns.
constexpr std::uint32_t bf16_row_bytes(int hidden) {
  return static_cast<std::uint32_t>(hidden) * 2;
}
constexpr std::uint32_t fp8_row_bytes(int hidden) {
  return static_cast<std::uint32_t>(hidden + hidden / kScaleGroup * 4);
}

constexpr Bf16 column_of(const Vec16& vec, int column) {
  return static_cast<Bf16>(vec.word[column / 2] >> (column % 2 * 16));
}
constexpr void set_column(Vec16& vec, int column, Bf16 value) {
  vec.word[column / 2] |= static_cast<std::uint32_t>(value) << (column % 2 * 16);
}

/// to[c] = value(c) for the columns [0, hidden) of a bf16 row, 16-byte aligned.
template <class Warp, class F>
LLEP_DEVICE void fill_row(Warp& warp, Bf16* to, int hidden, F value) {
  warp.for_each(hidden / kVecColumns, [&](int v) {
    Vec16 out;
    for (int c = 0; c < kVecColumns; ++c) set_column(out, c, value(v * kVecColumns + c));
    reinterpret_cast<Vec16*>(to)[v] = out;
  });
}

/// Every byte of a row becomes `byte`; `bytes` is a multiple of 16.
template <class Warp>
LLEP_DEVICE void poison_row(Warp& warp, std::byte* to, std::uint32_t bytes, std::uint8_t byte) {
  const std::uint32_t word = byte * 0x01010101U;
  warp.for_each(static_cast<int>(bytes / sizeof(Vec16)), [&](int v) {
    reinterpret_cast<Vec16*>(to)[v] = Vec16{{word, word, word, word}};
  });
}

/// bf16 row = e4m3 row [hidden] times its scales; `scale(g)` is that of columns [128 g, 128 g + 128).
template <class Warp, class F>
LLEP_DEVICE void dequantize_row(Warp& warp, Bf16* to, const Fp8* from, int hidden, F scale) {
  warp.for_each(hidden / kVecColumns, [&](int v) {
    const float factor = scale(v * kVecColumns / kScaleGroup);
    Vec16 out;
    for (int c = 0; c < kVecColumns; ++c) {
      set_column(out, c, to_bf16(fp8_to_float(from[v * kVecColumns + c]) * factor));
    }
    reinterpret_cast<Vec16*>(to)[v] = out;
  });
}

/// Rows to add: those whose bit is set, in the order of their index (k).
///   row(k)    const Vec16*, the bf16 row
///   weight(k) float
template <class RowOf, class WeightOf>
struct WeightedRows {
  int num_rows;         // <= 32
  std::uint32_t valid;  // bit k: row k takes part
  RowOf row;
  WeightOf weight;
};

/// out[c] = bf16(sum over k of weight(k) * row(k)[c]) for the 8-column vectors [first, first + n),
/// n <= 32 * kVecsPerLane: acc = fmaf(weight, value, acc) in fp32, in k order. No valid row: zeros.
template <int kVecsPerLane, class Warp, class RowOf, class WeightOf>
LLEP_DEVICE void weighted_sum(Warp& warp, Vec16* out, const WeightedRows<RowOf, WeightOf>& rows,
                              int first, int n) {
  constexpr int kInFlight = 8;  // rows a lane loads from at once
  warp.for_each(kMaxLanes, [&](int lane) {
    float acc[kVecsPerLane][kVecColumns] = {};
    for (int base = 0; base < rows.num_rows; base += kInFlight) {
      Vec16 in[kInFlight][kVecsPerLane];
      for (int j = 0; j < kInFlight; ++j) {
        if (base + j >= rows.num_rows || (rows.valid >> (base + j) & 1U) == 0) continue;
        for (int q = 0; q < kVecsPerLane; ++q) {
          const int v = q * kMaxLanes + lane;
          if (v < n) in[j][q] = rows.row(base + j)[first + v];
        }
      }
      for (int j = 0; j < kInFlight; ++j) {
        if (base + j >= rows.num_rows || (rows.valid >> (base + j) & 1U) == 0) continue;
        const float weight = rows.weight(base + j);
        for (int q = 0; q < kVecsPerLane; ++q) {
          for (int c = 0; c < kVecColumns; ++c) {
            acc[q][c] = fmaf(weight, to_float(column_of(in[j][q], c)), acc[q][c]);
          }
        }
      }
    }
    for (int q = 0; q < kVecsPerLane; ++q) {
      const int v = q * kMaxLanes + lane;
      if (v >= n) continue;
      Vec16 sum;
      for (int c = 0; c < kVecColumns; ++c) set_column(sum, c, to_bf16(acc[q][c]));
      out[first + v] = sum;
    }
  });
}

#ifdef __CUDACC__

/// Quantises bf16 columns [n], whole groups of 128, into `to`: e4m3 [n], then fp32 scales [n / 128].
/// Sixteen lanes share a group; the groups of a round go through each stage together.
__device__ __forceinline__ void quantize(cuda::Warp& warp, std::byte* to, const Bf16* from, int n) {
  constexpr int kColumnsPerStep = 32 * kVecColumns;
  constexpr int kInFlight = 8;  // loads of a lane
  auto* scales = reinterpret_cast<float*>(to + n);
  for (int base = 0; base < n; base += kInFlight * kColumnsPerStep) {
    Vec16 in[kInFlight] = {};
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      const int column = base + i * kColumnsPerStep + warp.lane() * kVecColumns;
      if (column < n) in[i] = *reinterpret_cast<const Vec16*>(from + column);
    }
    float amax[kInFlight] = {};
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
#pragma unroll
      for (int c = 0; c < kVecColumns; ++c) {
        amax[i] = fmaxf(amax[i], fabsf(to_float(column_of(in[i], c))));
      }
    }
#pragma unroll
    for (int step = 1; step < 16; step *= 2) {
#pragma unroll
      for (int i = 0; i < kInFlight; ++i) {
        amax[i] = fmaxf(amax[i], __shfl_xor_sync(cuda::kAllLanes, amax[i], step));
      }
    }
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      const int column = base + i * kColumnsPerStep + warp.lane() * kVecColumns;
      const float scale = fp8_scale(amax[i]);
      std::uint64_t codes = 0;
#pragma unroll
      for (int c = 0; c < kVecColumns; c += 2) {
        const float2 values = {to_float(column_of(in[i], c)) * scale,
                               to_float(column_of(in[i], c + 1)) * scale};
        codes |= static_cast<std::uint64_t>(
                     __nv_cvt_float2_to_fp8x2(values, __NV_SATFINITE, __NV_E4M3))
                 << (8 * c);
      }
      if (column < n) {
        *reinterpret_cast<std::uint64_t*>(to + column) = codes;
        if (warp.lane() % 16 == 0) scales[column / kScaleGroup] = fp8_scale_inverse(amax[i]);
      }
    }
  }
}

#else

inline void quantize(host::Warp& warp, std::byte* to, const Bf16* from, int n) {
  auto* codes = reinterpret_cast<Fp8*>(to);
  auto* scales = reinterpret_cast<float*>(to + n);
  warp.for_each(n / kScaleGroup, [&](int g) {
    const Bf16* group = from + g * kScaleGroup;
    float amax = 0;
    for (int c = 0; c < kScaleGroup; ++c) {  // NaN is no magnitude, as for the hardware's max
      const float magnitude = std::fabs(to_float(group[c]));
      if (magnitude > amax) amax = magnitude;
    }
    const float scale = fp8_scale(amax);
    for (int c = 0; c < kScaleGroup; ++c) {
      codes[g * kScaleGroup + c] = to_fp8(to_float(group[c]) * scale);
    }
    scales[g] = fp8_scale_inverse(amax);
  });
}

#endif

}  // namespace llep
