// SPDX-License-Identifier: MIT
#pragma once

#include "common/exec/host_device.hpp"
#include "common/exec/row_ops.hpp"
#include "kernels/upkeep.hpp"

/// Kernels that run primitives and row operations on given memory and leave behind all they saw, so
/// that what both executors left can be compared byte by byte.
namespace llep {

/// Every primitive of a warp, a team and a block; block 0 of kProbeWarps warps.
struct PrimitiveProbe {
  static constexpr int kWarps = 8;
  static constexpr int kMost = 300;       // inputs
  static constexpr int kOutWords = 4096;  // out, 32-bit words
  static constexpr std::uint32_t kSharedBytes = 4096;
  static constexpr std::uint64_t kEpoch = 7;
  static constexpr int kSignals = 70;

  const std::int32_t* in = nullptr;  // [kMost]
  std::int32_t* out = nullptr;       // [kOutWords], zeroed
  std::uint64_t* words = nullptr;    // [kSignals], zeroed
  TaggedPair* pairs = nullptr;       // [2 * kMostPosted], zeroed
  int n = 0;                         // at most kMost

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& /*pipe*/) const {
    if (warp.block() != 0) return;
    if (warp.index() == 0) alone(warp, out);
    team(warp, Team{.first = 2, .num_warps = 5}, out + 1024);
    warp.block_sync();
    block(warp, out + 2048);
    warp.block_sync();
    if (warp.index() == 3) signals(warp, out + 3072);
    warp.block_sync();
    posts(warp, Team{.first = 1, .num_warps = 3}, out + 3200);
  }

 private:
  template <class Warp>
  LLEP_DEVICE void alone(Warp& warp, std::int32_t* to) const {
    const int lanes = n < kMaxLanes ? n : kMaxLanes;
    const int sum = warp.sum(n, [&](int i) { return in[i]; });
    const std::uint32_t bits = warp.bits(n, [&](int i) { return 1U << (in[i] & 31); });
    const auto sums = warp.template sums<3>(n, [&](int i, Sums<3>& found) {
      for (int j = 0; j < 3; ++j) found.at[j] += in[i] % (j + 2);
    });
    auto values = warp.lanes(lanes, [&](int i) { return in[i] & 7; });
    const auto earlier = warp.earlier_equal(values);
    values.set(warp, 9, 1234);
    const auto later = warp.one_later([&] { return in[0] + 1; });
    const int one = warp.one([&] { return in[1] + 2; });
    warp.one([&] {
      to[0] = sum;
      to[1] = static_cast<std::int32_t>(bits);
      to[5] = one;
    });
    const int late = later.get(warp);
    warp.one([&] {
      to[6] = late;
      for (int j = 0; j < 3; ++j) to[2 + j] = sums.at[j];
    });
    for (int i = 0; i < kMaxLanes; ++i) {
      const int value = values.get(warp, i);
      const int count = i < lanes ? earlier.get(warp, i) : 0;
      warp.one([&] {
        to[16 + i] = value;
        to[48 + i] = count;
      });
    }
    warp.for_each(lanes, [&](int i) { to[80 + i] = values[i] + earlier[i]; });
    warp.sync();
    warp.for_each(n, [&](int i) { to[128 + i] = in[i] * 3 + i; });
    warp.sync();
    // What lanes wrote is seen by all lanes after the sync.
    const int written = warp.sum(n, [&](int i) { return to[128 + n - 1 - i]; });
    warp.one([&] { to[7] = written; });
  }

  template <class Warp>
  LLEP_DEVICE void team(Warp& warp, const Team& mine, std::int32_t* to) const {
    if (!mine.holds(warp.index())) return;
    for (int round = 0; round < 3; ++round) {
      warp.team_for_each(mine, n, [&](int i) { to[i] += in[i] + round; });
      warp.team_sync(mine);
      const int sum = warp.sum(n, [&](int i) { return to[i]; });
      warp.one([&] { to[kMost + round * kWarps + warp.index()] = sum; });
      warp.team_sync(mine);
    }
  }

  template <class Warp>
  LLEP_DEVICE void block(Warp& warp, std::int32_t* to) const {
    auto* shared = reinterpret_cast<std::int32_t*>(warp.shared());
    for (int round = 0; round < 3; ++round) {
      warp.one([&] { shared[warp.index()] = in[round] + warp.index(); });
      warp.block_sync();
      const int sum = warp.sum(kWarps, [&](int w) { return shared[w]; });
      warp.one([&] { to[round * kWarps + warp.index()] = sum; });
      warp.block_sync();
    }
    auto* counters = reinterpret_cast<std::uint64_t*>(to + 64);
    warp.one([&] {
      if (warp.index() == 0) counters[1] = ~std::uint64_t{0};
    });
    warp.block_sync();
    warp.for_each(n, [&](int i) {
      const auto value = static_cast<std::uint64_t>(in[i] & 0xffff);
      Warp::fetch_add(reinterpret_cast<std::uint32_t*>(counters), static_cast<std::uint32_t>(i));
      Warp::fetch_min(&counters[1], value << 20);
      Warp::fetch_max(&counters[2], value << 20);
    });
  }

  /// A signal of more words than lanes, some of them nobody's, and the wait for them.
  template <class Warp>
  LLEP_DEVICE void signals(Warp& warp, std::int32_t* to) const {
    warp.signal(
        kSignals, [&](int i) { return i % 3 == 1 ? nullptr : words + i; }, kEpoch);
    const bool ok = warp.wait_all(
        kSignals,
        [&](int i) { return Awaited{.word = i % 3 == 1 ? nullptr : words + i, .peer = i}; },
        kEpoch, WaitPhase::kDispatchRow);
    warp.one([&] { to[0] = ok ? 1 : -1; });
    warp.for_each(kSignals, [&](int i) { to[8 + i] = static_cast<std::int32_t>(words[i]); });
  }

  template <class Warp>
  LLEP_DEVICE void posts(Warp& warp, const Team& mine, std::int32_t* to) const {
    const int num = n < kMostPosted ? n : kMostPosted;
    if (warp.index() == 0) {
      warp.post(
          num,
          [&](int i) {
            return TaggedPair{{static_cast<std::uint32_t>(in[i]), static_cast<std::uint64_t>(i)}};
          },
          2, [&](int p) { return pairs + p * kMostPosted; }, kEpoch);
    }
    if (!mine.holds(warp.index())) return;
    for (int p = 0; p < 2; ++p) {
      warp.collect(
          mine, num, [&](int i) { return pairs + p * kMostPosted + i; },
          [](int i) { return Awaited{.peer = i}; }, kEpoch, WaitPhase::kDispatchRouting,
          [&](int i, const TaggedPair& pair) {
            for (int w = 0; w < 2; ++w) {
              to[(p * kMostPosted + i) * 2 + w] =
                  static_cast<std::int32_t>(pair.word[w]) + static_cast<int>(pair.word[w] >> 32);
            }
          });
    }
  }
};

/// One row operation on `num_rows` rows, each by one warp.
struct RowProbe {
  enum class Kind { kFill, kPoison, kQuantize, kStagedQuantize, kDequantize, kSum1, kSum4, kPipe };

  Kind kind = Kind::kFill;
  const Bf16* in = nullptr;  // [num_rows + 32, hidden] bf16, read as e4m3 by kDequantize
  std::byte* out = nullptr;  // [num_rows, stride]
  int hidden = 0;
  int num_rows = 0;
  const float* weights = nullptr;  // [num_rows + 32]

  /// Bytes of `out` for a row: enough for each kind.
  constexpr std::uint32_t stride() const { return 3 * bf16_row_bytes(hidden); }

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& pipe) const {
    grid_for_each(warp, num_rows, [&](int i) { run(warp, pipe, i); });
  }

 private:
  LLEP_DEVICE const Bf16* row(int i) const {
    return in + static_cast<std::size_t>(i) * static_cast<std::size_t>(hidden);
  }
  template <class Warp, class Pipe>
  LLEP_DEVICE void run(Warp& warp, Pipe& pipe, int i) const {
    std::byte* to = out + static_cast<std::size_t>(i) * stride();
    auto* columns = reinterpret_cast<Bf16*>(to);
    switch (kind) {
      case Kind::kFill: {
        const std::uint64_t key = payload_row_key({.seed = 1, .epoch = 2, .rank = 3, .token = i});
        return fill_row(warp, columns, hidden, [&](int c) { return payload_value(key, c); });
      }
      case Kind::kPoison:
        return poison_row(warp, to, bf16_row_bytes(hidden), static_cast<std::uint8_t>(i));
      case Kind::kQuantize: return quantize(warp, to, row(i), hidden);
      case Kind::kStagedQuantize: return staged_quantize(warp, pipe, to, i);
      case Kind::kDequantize:
        return dequantize_row(warp, columns, reinterpret_cast<const Fp8*>(row(i)), hidden,
                              [&](int group) { return weights[group % num_rows]; });
      case Kind::kSum1: return sum<1>(warp, reinterpret_cast<Vec16*>(to), i, 29);
      case Kind::kSum4: return sum<4>(warp, reinterpret_cast<Vec16*>(to), i, 100);
      case Kind::kPipe: return copy(warp, pipe, to, i);
    }
  }

  template <class Warp, class Pipe>
  LLEP_DEVICE void staged_quantize(Warp& warp, Pipe& pipe, std::byte* to, int i) const {
    quantize(warp, pipe.stage(), row(i), hidden);
    pipe.publish(warp);
    const auto bytes = static_cast<std::uint32_t>(hidden);
    pipe.store_to(warp, 1, [&](int) { return to; }, bytes);
    const std::uint32_t scales = (fp8_row_bytes(hidden) - bytes) / 16 * 16;
    if (scales > 0) pipe.store_to(warp, 1, [&](int) { return to + bytes; }, scales, bytes);
    pipe.commit(warp);
  }

  /// Row i's terms: 1 + i % 32 of the rows from i on, those with a bit in a scrambled i.
  template <int kVecsPerLane, class Warp>
  LLEP_DEVICE void sum(Warp& warp, Vec16* to, int i, int part) const {
    const auto of = [&](int k) { return reinterpret_cast<const Vec16*>(row(i + k)); };
    const auto weight = [&](int k) { return weights[i + k]; };
    const WeightedRows<decltype(of), decltype(weight)> rows{
        .num_rows = 1 + i % 32,
        .valid = i % 5 == 0 ? ~0U : static_cast<std::uint32_t>(i) * 0x9e3779b9U,
        .row = of,
        .weight = weight};
    const int vecs = hidden / kVecColumns;
    for (int first = 0; first < vecs; first += part) {
      weighted_sum<kVecsPerLane>(warp, to, rows, first, vecs - first < part ? vecs - first : part);
      warp.sync();
    }
  }

  /// Whole to the first place, its second half to the third, nothing to the second, in chunks.
  template <class Warp, class Pipe>
  LLEP_DEVICE void copy(Warp& warp, Pipe& pipe, std::byte* to, int i) const {
    const std::uint32_t chunk = 128;
    for (std::uint32_t first = 0; first < bf16_row_bytes(hidden); first += chunk) {
      pipe.load(warp, reinterpret_cast<const std::byte*>(row(i)) + first, chunk);
      pipe.wait(warp);
      pipe.store_to(
          warp, 2, [&](int d) { return d == 0 ? to + first : nullptr; }, chunk);
      pipe.store_to(
          warp, 1, [&](int) { return to + 2 * bf16_row_bytes(hidden) + first / 2; }, chunk / 2,
          chunk / 2);
      pipe.retire(warp);
    }
    pipe.commit(warp);
  }
};

/// Functions that both sides compile from the same text, of every bf16 and of given words.
struct CodecProbe {
  static constexpr int kNum = 0x10000;
  const std::uint32_t* in = nullptr;  // [kNum]
  std::uint32_t* out = nullptr;       // [5, kNum]

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& /*pipe*/) const {
    constexpr int kEach = 256;
    grid_for_each(warp, kNum / kEach, [&](int chunk) {
      warp.for_each(kEach, [&](int j) {
        const int i = chunk * kEach + j;
        const auto code = static_cast<std::uint32_t>(i);
        out[i] = to_fp8(to_float(static_cast<Bf16>(code)));
        out[kNum + i] = std::bit_cast<std::uint32_t>(fp8_to_float(static_cast<Fp8>(code)));
        out[2 * kNum + i] = to_bf16(std::bit_cast<float>(in[i]));
        out[3 * kNum + i] = to_fp8(std::bit_cast<float>(in[i]));
        out[4 * kNum + i] = static_cast<std::uint32_t>(lowest_bit(i < 33 ? bit(i) : in[i]));
      });
    });
  }

 private:
  LLEP_DEVICE static std::uint32_t bit(int i) { return i < 32 ? 1U << i : 0U; }
};

/// The same on the host executor (compiled by the host's compiler alone).
void launch_on_host(HostDevice& device, const GridShape& grid, const PrimitiveProbe& probe);
void launch_on_host(HostDevice& device, const GridShape& grid, const RowProbe& probe);
void launch_on_host(HostDevice& device, const GridShape& grid, const CodecProbe& probe);
void launch_on_host(HostDevice& device, const GridShape& grid, const CompareRows& probe);

}  // namespace llep
