// SPDX-License-Identifier: MIT
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <vector>

#include "common/exec/word_writer.hpp"
#include "common/unique_handle.hpp"

namespace llep {

/// Copies and stream memory operations in one stream of its own; kernels hold up neither. An
/// operation of the stream begins after the earlier ones have ended. The first value write behind a
/// copy comes with a barrier for what was written before it (CUDA driver API, cuStreamWriteValue64).
/// The others do without: what the host has written is there already.
class CudaWordWriter final : public WordWriter {
 public:
  /// `by_copy`: no value writes. They do not arrive while kernels of several processes take turns on
  /// one GPU.
  explicit CudaWordWriter(bool by_copy);

  void copy(std::byte* to, const std::byte* from, std::size_t bytes) override;
  void store(std::byte* to, std::uint64_t value) override;
  void flush() override;

 private:
  UniqueHandle<cudaStream_t, cudaStreamDestroy> stream_;
  decltype(&cuStreamBatchMemOp) write_values_ = nullptr;  // null: by copy
  std::vector<CUstreamBatchMemOpParams> stored_;
  bool copied_ = false;  // since the last barrier
};

}  // namespace llep
