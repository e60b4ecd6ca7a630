// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/exec/device.hpp"
#include "common/exec/host_executor.hpp"

namespace llep {

/// How the host executor runs a grid.
struct HostDeviceOptions {
  int num_blocks = 2;
  int warps_per_block = 4;
  int concurrent_blocks = 0;       // 0: all at once; 1 proves that no block waits for a later one
  std::uint64_t shuffle_seed = 0;  // other than 0: blocks start in a shuffled order
  bool reverse_lanes = false;
};

/// A rank's device on the host executor. Launches block until the grid has ended.
class HostDevice final : public Device {
 public:
  using Kernel = std::function<void(host::Warp&, host::RowPipe&)>;

  HostDevice(int rank, const HostDeviceOptions& options);
  ~HostDevice() override;
  HostDevice(const HostDevice&) = delete;
  HostDevice& operator=(const HostDevice&) = delete;

  ExecutorKind executor() const override { return ExecutorKind::kHost; }
  std::string name() const override { return "host"; }
  Memory allocate(std::size_t bytes) override;
  Memory allocate_pinned(std::size_t bytes) override { return allocate(bytes); }
  Memory allocate_pages(std::size_t bytes) override { return allocate(bytes); }
  Memory map_host(void* address, std::size_t bytes) override;
  Memory map_registers(void* address, std::size_t bytes) override {
    return map_host(address, bytes);
  }
  Memory allocate_shared(std::size_t bytes, SharedMemoryHandle& handle) override;
  Memory open_shared(const SharedMemoryHandle& handle) override;
  void close_shared_name(const SharedMemoryHandle& handle) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void fill(void* to, int byte, std::size_t bytes) override;
  void synchronize() override {}
  void mark(int index) override;
  double elapsed_us(int from, int to) override;
  std::optional<std::string> pci_bus_id() const override { return std::nullopt; }
  int export_dmabuf(std::byte* memory, std::size_t bytes) override;
  std::string check_adapter_writes() const override { return {}; }
  std::unique_ptr<WordWriter> word_writer() override;
  FaultSink& faults() override { return faults_; }
  void give_up() override;

  const HostDeviceOptions& options() const { return options_; }
  /// `grid.num_blocks` and `warps_per_block` are the options'; the sizes are the kernel's.
  void launch(const GridShape& grid, const Kernel& kernel);

 private:
  struct Job;
  void worker(int index);
  void run_blocks(Job& job, int index);

  HostDeviceOptions options_;
  FaultRecord record_;
  std::uint32_t raised_ = 0;
  FaultSink faults_;
  std::uint64_t marks_[kNumMarks] = {};
  std::uint64_t launches_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  Job* job_ = nullptr;
  std::uint64_t generation_ = 0;
  int running_ = 0;
  bool stop_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace llep
