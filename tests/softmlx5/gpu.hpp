// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "tests/softmlx5/cuda_driver.hpp"

namespace softmlx5 {

class Fabric;
class Gpu;

/// Payload of one record from GPU memory.
inline constexpr std::uint32_t kGpuChunk = 64U << 10;

/// Copies of a GPU that something waits for; no GPU: they are done.
struct Ticket {
  Gpu* gpu = nullptr;
  std::uint64_t number = 0;

  bool done() const;
};

/// One CUDA context's memory, as the adapter reaches it: by copies in a stream of its own, which
/// kernels that spin do not hold up. Copies are collected, all of one direction, and submitted
/// together; the stream itself then advances a counter in host memory, so that asking whether they
/// are done is a plain load. Used under the adapter's lock.
class Gpu {
 public:
  /// The one whose memory this is; null: the host's (managed memory too).
  static Gpu* of(std::uint64_t address);
  static void submit_all();
  /// Pins the rings shared with a process, once, if there is a GPU. Before kernels spin.
  static void pin_rings(const Fabric& fabric, int slot);

  Gpu(const CudaDriver& driver, CudaDriver::Context context, int ordinal)
      : driver_(driver), context_(context), ordinal_(ordinal) {}

  /// Done with the next submission.
  Ticket ticket() { return {this, submitted_ + 1}; }
  void submit();
  void submit_if_large();
  bool done(std::uint64_t submission);
  /// A call has failed: nothing is copied any more, and everything counts as done.
  bool broken() const { return broken_; }
  /// Submits and waits.
  void wait();

  void get(std::byte* to, std::uint64_t from, std::size_t bytes);
  /// `last`: the last aligned word (8 or 4 bytes) is written by itself, after all that came before.
  void put(std::uint64_t to, const std::byte* from, std::size_t bytes, bool last);
  /// These wait.
  std::uint64_t get64(std::uint64_t from);
  void put64(std::uint64_t to, std::uint64_t value);

 private:
  static constexpr std::size_t kMostCollected = 64;

  /// In pinned memory that outlives the context.
  struct Pinned {
    volatile std::uint64_t done;
    volatile std::uint64_t word_in;
    std::uint64_t word_out;
  };
  class Current;

  bool open(std::uint64_t some_address);
  void add_copy(bool to_gpu, std::uint64_t to, std::uint64_t from, std::size_t bytes);
  void add_word(std::uint64_t to, const std::byte* from, std::size_t bytes);
  bool overlaps(std::uint64_t to, std::size_t bytes) const;
  /// Hands the driver what was collected: copies, in any order, then words, in order.
  void flush();
  void flush_copies();
  void flush_words();
  bool check(CudaDriver::Result result, const char* doing);
  bool flags_by_copy() const;

  const CudaDriver& driver_;
  CudaDriver::Context context_;
  int ordinal_;
  std::array<std::uint64_t, 2> uuid_ = {};
  CudaDriver::Stream stream_ = nullptr;
  Pinned* pinned_ = nullptr;
  CudaDriver::Address done_address_ = 0;
  bool broken_ = false;

  bool dirty_ = false;  // something was handed over or collected since the last submission
  std::uint64_t submitted_ = 0;
  std::uint64_t polls_ = 0;
  std::size_t bytes_ = 0;
  bool to_gpu_ = false;
  std::size_t num_copies_ = 0;
  std::array<CudaDriver::Address, kMostCollected> copy_to_ = {};
  std::array<CudaDriver::Address, kMostCollected> copy_from_ = {};
  std::array<std::size_t, kMostCollected> copy_bytes_ = {};
  std::size_t num_words_ = 0;
  std::array<CudaDriver::ValueWrite, kMostCollected + 1> words_ = {};
};

inline bool Ticket::done() const { return gpu == nullptr || gpu->done(number); }

}  // namespace softmlx5
