// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/exec/fault.hpp"
#include "common/exec/word_writer.hpp"

namespace llep {

enum class ExecutorKind : int { kHost, kCuda };

/// Memory of a device; freed (unmapped) with the handle.
using Memory = std::unique_ptr<std::byte, std::function<void(std::byte*)>>;

/// Names a rank's shared memory to the others; plain data, exchanged through a Communicator.
struct SharedMemoryHandle {
  std::array<std::byte, 64> key = {};  // cudaIpcMemHandle_t, or a shared memory name
  std::int64_t process = 0;            // ranks of one process share one mapping
  std::uint64_t address = 0;           // valid in that process
  std::uint64_t bytes = 0;
};

/// Work that a device has recorded and starts again with one call.
class RecordedWork {
 public:
  virtual ~RecordedWork() = default;
  virtual void launch() = 0;
};

/// Where one rank's kernels run and its memory lives. One rank owns one device and one stream of
/// work on it; launches are made by the executors' own launch functions.
///
/// Every call throws Error with what failed and what would help.
class Device {
 public:
  virtual ~Device() = default;

  virtual ExecutorKind executor() const = 0;
  /// "NVIDIA H200"; "host" for the host executor.
  virtual std::string name() const = 0;

  /// Zeroed, aligned to 256 bytes.
  virtual Memory allocate(std::size_t bytes) = 0;
  /// Zeroed host memory that kernels may read and write (cudaHostAlloc).
  virtual Memory allocate_pinned(std::size_t bytes) = 0;

  /// Zeroed, on pages that hold nothing else.
  virtual Memory allocate_pages(std::size_t bytes) = 0;
  /// Lets kernels use host memory that a library allocated, until the handle goes: its address for
  /// them. Objects may share pages.
  virtual Memory map_host(void* address, std::size_t bytes) = 0;
  /// The same for registers of a device, which kernels only write: as I/O memory, or as the
  /// ordinary memory that stands in for it. Throws Error(kUnavailable) with what would permit it.
  virtual Memory map_registers(void* address, std::size_t bytes) = 0;

  /// Zeroed device memory that other ranks of the node can map.
  virtual Memory allocate_shared(std::size_t bytes, SharedMemoryHandle& handle) = 0;
  /// Maps a peer's shared memory for this device's kernels.
  virtual Memory open_shared(const SharedMemoryHandle& handle) = 0;
  /// Called once all ranks have opened it: nothing of its name stays behind.
  virtual void close_shared_name(const SharedMemoryHandle& handle) = 0;

  /// Blocking, after all work launched before; any direction.
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual void fill(void* to, int byte, std::size_t bytes) = 0;
  /// Returns when everything launched has ended. A kernel that faulted has ended as well.
  virtual void synchronize() = 0;

  /// Marks this point of the stream; numbers below kNumMarks.
  virtual void mark(int index) = 0;
  /// Host-observed time between two marks that have passed, in microseconds.
  virtual double elapsed_us(int from, int to) = 0;
  static constexpr int kNumMarks = 4;

  /// What `work` launches is recorded (a CUDA graph), not run. Null: this device cannot record.
  virtual std::unique_ptr<RecordedWork> record(const std::function<void()>& /*work*/) {
    return nullptr;
  }

  /// "0000:3b:00.0"; nothing for the host.
  virtual std::optional<std::string> pci_bus_id() const = 0;
  /// A new file descriptor (dma-buf) by which adapters reach what allocate_pages or allocate_shared
  /// gave. Throws Error(kUnavailable) where that cannot be had.
  virtual int export_dmabuf(std::byte* memory, std::size_t bytes) = 0;
  /// What this thread, and libraries that it calls, ask of the device goes to this one.
  virtual void use_here() {}
  /// Writes words of this device's memory; its thread has called use_here.
  virtual std::unique_ptr<WordWriter> word_writer() = 0;
  /// Throws Error(kUnavailable) unless kernels see what adapters write in the order it was written.
  /// Returns whose kernels do, as CUDA says it: "owner", "all devices"; empty: no GPU is in the way.
  virtual std::string check_adapter_writes() const = 0;

  /// The record of the first wait that passed its deadline, shared by all kernels of the device.
  virtual FaultSink& faults() = 0;
  /// Lets every wait of a kernel that runs or will run give up, without a record. From any thread.
  virtual void give_up() = 0;
};

}  // namespace llep
