// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

#include "common/exec/word_writer.hpp"
#include "common/unique_handle.hpp"

namespace llep {

/// Copies in one stream of its own, which kernels do not hold up. What is stored until a flush is
/// one batch: nothing is ordered inside it, a stream keeps batches and copies in order. Stream memory
/// operations (cuStreamWriteValue64) are no way: each comes with a barrier that waits for what a
/// kernel is writing, and they do not arrive while kernels of several processes take turns on a GPU.
class CudaWordWriter final : public WordWriter {
 public:
  CudaWordWriter();

  void copy(std::byte* to, const std::byte* from, std::size_t bytes) override;
  void store(std::byte* to, std::uint64_t value) override;
  void flush() override;

 private:
  void copy_batch();

  UniqueHandle<cudaStream_t, cudaStreamDestroy> stream_;
  std::vector<void*> to_;  // of the words stored, no two alike
  std::vector<std::uint64_t> values_;
};

}  // namespace llep
