// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <infiniband/mlx5dv.h>

#include "common/exec/ptx.cuh"

/// What a GPU does with a queue pair of its own: it fills rows, writes entries into libmlx5's ring,
/// rings, polls the completion, waits for the peer's flag and checks the peer's rows.
namespace softmlx5_test {

inline constexpr int kThreads = 256;
inline constexpr std::uint32_t kRows = 8;
inline constexpr std::uint32_t kRowBytes = 14336;
inline constexpr std::uint32_t kRowsBytes = kRows * kRowBytes;
inline constexpr std::uint32_t kBlock = 64;
inline constexpr std::uint64_t kPatienceNs = 60'000'000'000;

/// A queue pair as kernels see it, and the memory at both ends.
struct Channel {
  std::byte* entries = nullptr;  // [num_entries] blocks
  std::uint32_t num_entries = 0;
  std::uint32_t* send_record = nullptr;
  std::byte* doorbell = nullptr;
  std::uint32_t half_bytes = 0;  // of the register; its halves are used in turn
  const std::byte* completions = nullptr;
  std::uint32_t num_completions = 0;
  std::uint32_t* completion_record = nullptr;
  std::uint32_t qpn = 0;
  std::uint32_t lkey = 0;
  std::uint32_t rkey = 0;
  int self = 0;
  int peer = 0;
  std::uint32_t* rows_out = nullptr;        // [kRowsBytes]
  const std::uint32_t* rows_in = nullptr;   // [2, kRowsBytes]: the peer may be one iteration ahead
  const std::uint64_t* flags_in = nullptr;  // [2]
  std::uint64_t remote_rows = 0;
  std::uint64_t remote_flags = 0;
};

enum class Failure : std::uint32_t { kNone, kNoFlag, kNoCompletion, kErrorCompletion, kWrongData };

/// In pinned host memory.
struct Report {
  Failure failure = Failure::kNone;
  std::uint64_t iteration = 0;
};

__device__ inline std::uint32_t big_endian(std::uint32_t value) {
  return __byte_perm(value, 0, 0x0123);
}

__device__ inline std::uint32_t word_of(std::uint64_t iteration, int from, int to,
                                        std::uint32_t i) {
  const std::uint32_t mixed = i * 2654435761U ^
                              static_cast<std::uint32_t>(iteration) * 0x9e3779b9U ^
                              static_cast<std::uint32_t>(from * 64 + to + 1) * 0x85ebca6bU;
  return mixed ^ mixed >> 15;
}

__device__ inline void write_entry(const Channel& channel, std::uint32_t index,
                                   std::uint64_t remote, bool last,
                                   const std::uint32_t (&data)[4]) {
  auto* block = reinterpret_cast<uint4*>(channel.entries +
                                         (index & (channel.num_entries - 1)) * std::size_t{kBlock});
  block[0] =
      make_uint4(big_endian((index & 0xffff) << 8 | MLX5_OPCODE_RDMA_WRITE),
                 big_endian(channel.qpn << 8 | 3), last ? MLX5_WQE_CTRL_CQ_UPDATE << 24 : 0, 0);
  block[1] =
      make_uint4(big_endian(static_cast<std::uint32_t>(remote >> 32)),
                 big_endian(static_cast<std::uint32_t>(remote)), big_endian(channel.rkey), 0);
  block[2] = make_uint4(data[0], data[1], data[2], data[3]);
}

/// Rows, then a flag: entries, fence, send record, fence, doorbell.
__device__ inline void send(const Channel& channel, std::uint64_t iteration) {
  const auto first = static_cast<std::uint32_t>((iteration - 1) * (kRows + 1));
  const std::uint64_t parity = iteration % 2;
  for (std::uint32_t row = 0; row < kRows; ++row) {
    const std::uint64_t at = row * std::uint64_t{kRowBytes};
    const auto local = reinterpret_cast<std::uint64_t>(channel.rows_out) + at;
    const std::uint32_t data[4] = {big_endian(kRowBytes), big_endian(channel.lkey),
                                   big_endian(static_cast<std::uint32_t>(local >> 32)),
                                   big_endian(static_cast<std::uint32_t>(local))};
    write_entry(channel, first + row, channel.remote_rows + parity * kRowsBytes + at, false, data);
  }
  const std::uint32_t flag[4] = {big_endian(MLX5_INLINE_SEG | 8),
                                 static_cast<std::uint32_t>(iteration),
                                 static_cast<std::uint32_t>(iteration >> 32), 0};
  const std::uint32_t last = first + kRows;
  write_entry(channel, last, channel.remote_flags + 8 * parity, true, flag);
  __threadfence_system();
  *reinterpret_cast<volatile std::uint32_t*>(channel.send_record) = big_endian((last + 1) & 0xffff);
  __threadfence_system();
  const std::uint64_t high = big_endian(channel.qpn << 8 | 3);
  const std::uint64_t doorbell =
      high << 32 | big_endian((last & 0xffff) << 8 | MLX5_OPCODE_RDMA_WRITE);
  auto* half = channel.doorbell + parity * channel.half_bytes;
  *reinterpret_cast<volatile std::uint64_t*>(half) = doorbell;
}

template <class Done>
__device__ bool wait_until(Done done) {
  const std::uint64_t begin = llep::ptx::global_timer_ns();
  while (!done()) {
    if (llep::ptx::global_timer_ns() - begin > kPatienceNs) return false;
  }
  return true;
}

/// The one completion of an iteration.
__device__ inline Failure take_completion(const Channel& channel, std::uint64_t iteration) {
  const auto index = static_cast<std::uint32_t>(iteration - 1);
  const volatile std::uint8_t* owner = reinterpret_cast<const volatile std::uint8_t*>(
      channel.completions + (index & (channel.num_completions - 1)) * std::size_t{kBlock} + 63);
  const unsigned odd_round = (index & channel.num_completions) != 0 ? 1 : 0;
  std::uint8_t seen = 0;
  const bool came = wait_until([&] {
    seen = *owner;
    return seen >> 4 != MLX5_CQE_INVALID && (seen & 1) == odd_round;
  });
  if (!came) return Failure::kNoCompletion;
  __threadfence_system();
  *reinterpret_cast<volatile std::uint32_t*>(channel.completion_record) =
      big_endian((index + 1) & 0xffffff);
  return seen >> 4 == MLX5_CQE_REQ ? Failure::kNone : Failure::kErrorCompletion;
}

/// A block for each channel; all iterations in one launch.
__global__ __launch_bounds__(kThreads) void exchange_kernel(const Channel* channels,
                                                            std::uint64_t iterations,
                                                            Report* reports) {
  const Channel channel = channels[blockIdx.x];
  Report& report = reports[blockIdx.x];
  __shared__ Failure failure;
  for (std::uint64_t iteration = 1; iteration <= iterations; ++iteration) {
    for (std::uint32_t i = threadIdx.x; i < kRowsBytes / 4; i += kThreads) {
      channel.rows_out[i] = word_of(iteration, channel.self, channel.peer, i);
    }
    __threadfence_system();
    __syncthreads();
    if (threadIdx.x == 0) {
      send(channel, iteration);
      const std::uint64_t* flag = channel.flags_in + iteration % 2;
      const bool came = wait_until([&] { return llep::ptx::load_acquire_sys(flag) == iteration; });
      failure = came ? take_completion(channel, iteration) : Failure::kNoFlag;
    }
    __syncthreads();
    const std::uint32_t* rows = channel.rows_in + iteration % 2 * (kRowsBytes / 4);
    bool wrong = false;
    for (std::uint32_t i = threadIdx.x; i < kRowsBytes / 4; i += kThreads) {
      wrong |= __ldcv(rows + i) != word_of(iteration, channel.peer, channel.self, i);
    }
    wrong = __syncthreads_or(wrong) != 0;
    if (failure == Failure::kNone && !wrong) continue;
    if (threadIdx.x == 0) {
      report = {.failure = failure != Failure::kNone ? failure : Failure::kWrongData,
                .iteration = iteration};
    }
    return;
  }
}

}  // namespace softmlx5_test
