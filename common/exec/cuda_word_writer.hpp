// SPDX-License-Identifier: MIT
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <vector>

#include "common/exec/word_writer.hpp"
#include "common/unique_handle.hpp"

namespace llep {

/// Copies and stream memory operations in one stream of its own. An operation of the stream begins
/// after the earlier ones have ended, and a value write comes with a barrier for the writes before it
/// (CUDA driver API, cuStreamWriteValue64), so words arrive in order; kernels hold up neither.
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
};

}  // namespace llep
