// SPDX-License-Identifier: MIT
// Words that the host writes while a kernel waits for them.
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "common/exec/cuda_device.hpp"
#include "common/exec/cuda_executor.cuh"
#include "common/exec/cuda_word_writer.hpp"

namespace llep {
namespace {

constexpr int kRounds = 400;
constexpr int kWords = 128;  // copied
constexpr std::uint64_t kTimeoutNs = 20'000'000'000;

struct Seen {
  unsigned long long late = 0;   // copied words that were not there when their signal was
  unsigned long long rounds = 0;
};

/// Words [kWords] are copied before the signal is stored; `answer` lets the host go on.
__global__ void read_words(const std::uint64_t* words, const std::uint64_t* signal,
                           std::uint64_t* answer, Seen* seen) {
  const std::uint64_t deadline = ptx::global_timer_ns() + kTimeoutNs;
  for (std::uint64_t round = 1; round <= kRounds; ++round) {
    while (ptx::load_acquire_sys(signal) < round) {
      if (ptx::global_timer_ns() > deadline) return;
    }
    for (int i = static_cast<int>(threadIdx.x); i < kWords; i += 32) {
      if (ptx::load_acquire_sys(words + i) != round * 1000 + static_cast<std::uint64_t>(i)) {
        atomicAdd(&seen->late, 1);
      }
    }
    __syncwarp();
    if (threadIdx.x == 0) {
      seen->rounds = round;
      ptx::store_relaxed_sys(answer, round);
    }
  }
}

TEST(WordWriter, a_stored_word_comes_behind_copied_ones) {
  if (cuda::num_devices() == 0) GTEST_SKIP() << "no GPU";
  CudaDevice device(0, 0, 1);
  const Memory memory = device.allocate((kWords + 1) * sizeof(std::uint64_t));
  const Memory host = device.allocate_pinned(sizeof(std::uint64_t));
  const Memory seen = device.allocate(sizeof(Seen));
  auto* const words = reinterpret_cast<std::uint64_t*>(memory.get());
  auto* const answer = reinterpret_cast<std::uint64_t*>(host.get());
  CudaWordWriter writer;
  read_words<<<1, 32, 0, device.stream()>>>(words, words + kWords, answer,
                                            reinterpret_cast<Seen*>(seen.get()));
  std::vector<std::uint64_t> values(kWords);
  for (std::uint64_t round = 1; round <= kRounds; ++round) {
    for (std::uint64_t i = 0; i < kWords; ++i) values[i] = round * 1000 + i;
    writer.copy(memory.get(), reinterpret_cast<const std::byte*>(values.data()),
                kWords * sizeof(std::uint64_t));
    values.assign(kWords, 0);  // the copy has taken them
    writer.store(memory.get() + kWords * sizeof(std::uint64_t), round);
    writer.flush();
    while (*static_cast<volatile std::uint64_t*>(answer) < round) {
      if (cudaStreamQuery(device.stream()) != cudaErrorNotReady) break;
    }
  }
  Seen result;
  device.copy(&result, seen.get(), sizeof result);
  EXPECT_EQ(result.rounds, static_cast<unsigned long long>(kRounds));
  EXPECT_EQ(result.late, 0U);
}

TEST(WordWriter, takes_any_number_of_words_at_once) {
  if (cuda::num_devices() == 0) GTEST_SKIP() << "no GPU";
  constexpr std::uint64_t kNumber = 1000;
  CudaDevice device(0, 0, 1);
  const Memory memory = device.allocate(kNumber * sizeof(std::uint64_t));
  CudaWordWriter writer;
  for (std::uint64_t pass = 1; pass <= 2; ++pass) {
    for (std::uint64_t i = 0; i < kNumber; ++i) {
      writer.store(memory.get() + i * sizeof(std::uint64_t), pass * 5000 + i);
    }
  }
  writer.flush();
  cuda::check(cudaDeviceSynchronize(), "waiting for the GPU");
  std::vector<std::uint64_t> seen(kNumber);
  device.copy(seen.data(), memory.get(), kNumber * sizeof(std::uint64_t));
  for (std::uint64_t i = 0; i < kNumber; ++i) ASSERT_EQ(seen[i], 10'000 + i);
}

}  // namespace
}  // namespace llep
