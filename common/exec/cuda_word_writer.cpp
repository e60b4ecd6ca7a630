// SPDX-License-Identifier: MIT
#include "common/exec/cuda_word_writer.hpp"

#include <utility>

#include "common/error.hpp"
#include "common/exec/cuda_device.hpp"

namespace llep {

namespace {

constexpr std::size_t kMostAtOnce = 255;  // fewer than 256: cuStreamBatchMemOp

}  // namespace

CudaWordWriter::CudaWordWriter(bool by_copy) {
  cudaStream_t stream = nullptr;
  cuda::check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  stream_ = UniqueHandle<cudaStream_t, cudaStreamDestroy>(stream);
  if (by_copy) return;
  write_values_ = reinterpret_cast<decltype(&cuStreamBatchMemOp)>(
      cuda::driver_function("cuStreamBatchMemOp", 11070));
}

/// From pageable memory: the driver has taken the bytes when the call returns.
void CudaWordWriter::copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  flush();
  cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_.get()),
              "copying words to GPU memory");
  copied_ = true;
}

void CudaWordWriter::store(std::byte* to, std::uint64_t value) {
  if (write_values_ == nullptr) {
    return copy(to, reinterpret_cast<const std::byte*>(&value), sizeof value);
  }
  CUstreamBatchMemOpParams one = {};
  one.writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_64;
  one.writeValue.address = reinterpret_cast<CUdeviceptr>(to);
  one.writeValue.value64 = value;
  one.writeValue.flags = std::exchange(copied_, false) ? CU_STREAM_WRITE_VALUE_DEFAULT
                                                        : CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER;
  stored_.push_back(one);
  if (stored_.size() == kMostAtOnce) flush();
}

void CudaWordWriter::flush() {
  if (stored_.empty()) return;
  const CUresult status =
      write_values_(stream_.get(), static_cast<unsigned>(stored_.size()), stored_.data(), 0);
  stored_.clear();
  if (status == CUDA_SUCCESS) return;
  throw Error(ExitCode::kInternal, "writing words of GPU memory: CUDA error " +
                                       std::to_string(static_cast<int>(status)));
}

}  // namespace llep
