// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include "common/exec/device.hpp"
#include "common/exec/host_pages.hpp"
#include "common/unique_handle.hpp"

namespace llep {

namespace cuda {

/// Throws Error naming what was being done, unless the call succeeded.
void check(cudaError_t status, const char* doing);

/// A function of the driver, as it was in that version of CUDA (11070: 11.7); null: it has none.
void* driver_function(const char* name, unsigned version);

/// GPUs this process can see; 0 without a driver.
int num_devices();
/// "GPU-…", as nvidia-smi prints it.
std::string uuid(int ordinal);
/// "13.0": the newest CUDA the driver supports, and what this program was built with.
std::string driver_version();
std::string runtime_version();

}  // namespace cuda

/// A rank's GPU: one non-blocking stream, events for the marks.
class CudaDevice final : public Device {
 public:
  /// `ranks_sharing` ranks run on this GPU at once: each takes its share of the multiprocessors.
  CudaDevice(int ordinal, int rank, int ranks_sharing);
  ~CudaDevice() override;

  ExecutorKind executor() const override { return ExecutorKind::kCuda; }
  std::string name() const override { return name_; }
  Memory allocate(std::size_t bytes) override;
  Memory allocate_pinned(std::size_t bytes) override;
  Memory allocate_pages(std::size_t bytes) override;
  Memory map_host(void* address, std::size_t bytes) override;
  Memory map_registers(void* address, std::size_t bytes) override;
  Memory allocate_shared(std::size_t bytes, SharedMemoryHandle& handle) override;
  Memory open_shared(const SharedMemoryHandle& handle) override;
  void close_shared_name(const SharedMemoryHandle& /*handle*/) override {}
  void copy(void* to, const void* from, std::size_t bytes) override;
  void fill(void* to, int byte, std::size_t bytes) override;
  void synchronize() override;
  void mark(int index) override;
  double elapsed_us(int from, int to) override;
  std::unique_ptr<RecordedWork> record(const std::function<void()>& work) override;
  std::optional<std::string> pci_bus_id() const override;
  int export_dmabuf(std::byte* memory, std::size_t bytes) override;
  void use_here() override;
  std::unique_ptr<WordWriter> word_writer() override;
  std::string check_adapter_writes() const override;
  FaultSink& faults() override { return faults_; }
  void give_up() override;

  int num_blocks() const { return num_blocks_; }
  std::uint32_t shared_bytes_per_block() const { return shared_bytes_; }
  cudaStream_t stream() const { return stream_.get(); }

 private:
  using Stream = UniqueHandle<cudaStream_t, cudaStreamDestroy>;
  using Event = UniqueHandle<cudaEvent_t, cudaEventDestroy>;

  int ordinal_;
  int num_blocks_ = 1;
  std::uint32_t shared_bytes_ = 0;
  std::string name_;
  Stream stream_;
  Stream aside_;  // for what must not wait for kernels
  Event events_[kNumMarks];
  Memory record_;
  Memory raised_;
  FaultSink faults_;
  HostPages host_pages_;
  HostPages register_pages_;
};

}  // namespace llep
