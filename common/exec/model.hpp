// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "common/annotations.hpp"

/// The execution model. Kernel code is warp-uniform: every variable has one value per warp, and
/// lanes exist only inside the primitives of the executors' `Warp` and `RowPipe`
/// (host_executor.hpp, cuda_executor.cuh), which have the same members:
///
///   warp.one(f)            one lane acts; its return value is the warp's
///   warp.one_later(f)      the same, but nobody waits for the value before `.get(warp)`
///   warp.for_each(n, f)    f(i) for every i < n, in no order
///   warp.team_for_each     the same, shared out among the warps of a team
///   warp.sum / bits(n, f)  the sum / the bitwise or of all f(i)
///   warp.sums<N>(n, f)     N sums in one go over i
///   warp.lanes(n, f)       f(i) for i < n <= 32, kept per lane
///   warp.earlier_equal(l)  for each lane, how many lanes before it hold the same value
///   warp.wait_all(n, f, …) polls one word per lane until all have reached the epoch
///   warp.signal(n, f, …)   one release, then one relaxed store per target
///   warp.post(n, f, …)     relaxed stores, by all lanes, of words that carry their epoch
///   warp.collect(…)        waits for such words and hands over what they carry
///   warp.release()         what was written before comes before slots stored later
///   warp.wait_for(f, …)    calls f() in one lane until it returns the value waited for
///   warp.wait_some(f, …)   the same in several lanes, until at least one of them has its value
///   warp.fail(…)           leaves a record and lets every wait give up
///   warp.now_ns()          the device's clock
///   warp.sync()            what lanes wrote is seen by all lanes
///   warp.refuse_dirty(…)   on the host: ends the program if lanes wrote since the last sync
///   warp.team_sync(team)   what warps wrote is seen by all warps of the team
///   warp.block_sync()      the same for the whole block
///
/// Functions given to them only read what they capture; results come from return values or memory.
/// (A mutated capture would work on the host and diverge on a GPU.)
namespace llep {

inline constexpr int kMaxLanes = 32;

/// What a kernel grid looks like.
struct GridShape {
  int num_blocks = 1;
  int warps_per_block = 1;
  std::uint32_t stage_bytes = 0;   // per warp: what its row pipe holds; a multiple of 128
  std::uint32_t shared_bytes = 0;  // per block, beside the stages
};

/// Neighbouring warps of one block that sync among themselves. One team a kernel.
struct Team {
  int first = 0;
  int num_warps = 0;

  constexpr bool holds(int warp) const { return warp >= first && warp < first + num_warps; }
};

/// The word a lane waits for, and what to report if it never comes. No word: nothing to wait for.
struct Awaited {
  const std::uint64_t* word = nullptr;
  std::int32_t peer = -1;
  std::int32_t expert = -1;
  std::int32_t token = -1;
};

/// 16 bytes: the widest ordinary load and store.
struct alignas(16) Vec16 {
  std::uint32_t word[4] = {};
};

template <int N>
struct Sums {
  int at[N] = {};
};

/// Two 64-bit words, each 32 bits of data below the low 32 bits of the epoch. A word arrives whole,
/// so its data needs no signal behind it.
struct alignas(16) TaggedPair {
  std::uint64_t word[2] = {};
};

constexpr std::uint64_t tagged(std::uint32_t data, std::uint64_t epoch) {
  return epoch << 32 | data;
}
constexpr bool has_tag(std::uint64_t word, std::uint64_t epoch) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(word >> 32) -
                                   static_cast<std::uint32_t>(epoch)) >= 0;
}

/// Pairs that one `post` takes: what lanes hold in registers.
inline constexpr int kMostPosted = 2 * kMaxLanes;

/// Epochs grow forever; the comparison survives a wrap.
constexpr bool reached(std::uint64_t seen, std::uint64_t epoch) {
  return static_cast<std::int64_t>(seen - epoch) >= 0;
}

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Index of the lowest set bit; 32 without one. (nvcc 13.0 compiles std::countr_zero in device code
/// to the constant 32; std::popcount it gets right.)
constexpr int lowest_bit(std::uint32_t bits) {
  return std::popcount((bits & (~bits + 1U)) - 1U);
}

constexpr int divide_up(int value, int by) { return (value + by - 1) / by; }

}  // namespace llep
