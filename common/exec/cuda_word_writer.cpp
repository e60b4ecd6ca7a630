// SPDX-License-Identifier: MIT
#include "common/exec/cuda_word_writer.hpp"

#include <algorithm>

#include "common/exec/cuda_device.hpp"

namespace llep {

namespace {

constexpr std::size_t kMostAtOnce = 256;

}  // namespace

CudaWordWriter::CudaWordWriter() {
  cudaStream_t stream = nullptr;
  cuda::check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  stream_ = UniqueHandle<cudaStream_t, cudaStreamDestroy>(stream);
}

/// From pageable memory: the driver has taken the bytes when the call returns.
void CudaWordWriter::copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  flush();
  cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_.get()),
              "copying words to GPU memory");
}

void CudaWordWriter::store(std::byte* to, std::uint64_t value) {
  if (to_.size() == kMostAtOnce || std::find(to_.begin(), to_.end(), to) != to_.end()) flush();
  to_.push_back(to);
  values_.push_back(value);
}

void CudaWordWriter::flush() {
  if (to_.empty()) return;
  copy_batch();
  to_.clear();
  values_.clear();
}

/// One call of the driver for all words where CUDA has that.
void CudaWordWriter::copy_batch() {
#if CUDART_VERSION >= 13000
  if (to_.size() > 1) {
    std::vector<const void*> from;
    for (const std::uint64_t& value : values_) from.push_back(&value);
    const std::vector<std::size_t> sizes(to_.size(), sizeof(std::uint64_t));
    cudaMemcpyAttributes taken_at_once = {};
    taken_at_once.srcAccessOrder = cudaMemcpySrcAccessOrderDuringApiCall;
    std::size_t all_from = 0;
    return cuda::check(cudaMemcpyBatchAsync(to_.data(), from.data(), sizes.data(), to_.size(),
                                            &taken_at_once, &all_from, 1, stream_.get()),
                       "copying words to GPU memory");
  }
#endif
  for (std::size_t i = 0; i < to_.size(); ++i) {
    cuda::check(cudaMemcpyAsync(to_[i], &values_[i], sizeof values_[i], cudaMemcpyHostToDevice,
                                stream_.get()),
                "copying words to GPU memory");
  }
}

}  // namespace llep
