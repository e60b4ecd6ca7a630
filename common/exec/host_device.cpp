// SPDX-License-Identifier: MIT
#include "common/exec/host_device.hpp"

#include <numeric>
#include <random>

#include "common/error.hpp"
#include "common/exec/shared_memory.hpp"

namespace llep {

namespace {

constexpr std::size_t kAlignment = 256;

Memory allocate_aligned(std::size_t bytes) {
  auto* memory = static_cast<std::byte*>(
      std::aligned_alloc(kAlignment, round_up(std::max<std::size_t>(bytes, 1), kAlignment)));
  if (memory == nullptr) {
    throw Error(ExitCode::kInternal, "allocating " + std::to_string(bytes) +
                                         " bytes of host memory: none left; use smaller shapes");
  }
  std::memset(memory, 0, bytes);
  return Memory(memory, [](std::byte* address) { std::free(address); });
}

class HostWordWriter final : public WordWriter {
 public:
  void copy(std::byte* to, const std::byte* from, std::size_t bytes) override {
    for (std::size_t at = 0; at < bytes; at += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, from + at, sizeof word);
      store(to + at, word);
    }
  }
  void store(std::byte* to, std::uint64_t value) override {
    std::atomic_ref(*reinterpret_cast<std::uint64_t*>(to)).store(value, std::memory_order_release);
  }
  void flush() override {}
};

}  // namespace

/// One launch. Workers of slot `s` (warps_per_block of them) run the blocks that the slot's
/// first warp takes from the shuffled order.
struct HostDevice::Job {
  struct Slot {
    explicit Slot(const GridShape& grid)
        : shared(allocate_aligned(grid.shared_bytes)),
          stages(allocate_aligned(static_cast<std::size_t>(grid.warps_per_block) *
                                  grid.stage_bytes)) {}
    Memory shared;
    Memory stages;
    host::Barrier all;
    host::Barrier team;
    int taken = 0;  // position in `order` of the block that the slot runs now
  };

  GridShape grid;
  const Kernel* kernel = nullptr;
  std::vector<int> order;
  std::vector<std::unique_ptr<Slot>> slots;
  std::atomic<int> next = 0;
};

HostDevice::HostDevice(int rank, const HostDeviceOptions& options) : options_(options) {
  faults_ = FaultSink{.record = &record_, .raised = &raised_, .rank = rank};
  if (options_.concurrent_blocks <= 0 || options_.concurrent_blocks > options_.num_blocks) {
    options_.concurrent_blocks = options_.num_blocks;
  }
  for (int i = 0; i < options_.concurrent_blocks * options_.warps_per_block; ++i) {
    workers_.emplace_back([this, i] { worker(i); });
  }
}

HostDevice::~HostDevice() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

void HostDevice::launch(const GridShape& grid, const Kernel& kernel) {
  Job job;
  job.grid = grid;
  job.grid.num_blocks = options_.num_blocks;
  job.grid.warps_per_block = options_.warps_per_block;
  job.kernel = &kernel;
  job.order.resize(static_cast<std::size_t>(options_.num_blocks));
  std::iota(job.order.begin(), job.order.end(), 0);
  if (options_.shuffle_seed != 0) {
    std::mt19937_64 random(options_.shuffle_seed + launches_);
    std::shuffle(job.order.begin(), job.order.end(), random);
  }
  ++launches_;
  for (int s = 0; s < options_.concurrent_blocks; ++s) {
    job.slots.push_back(std::make_unique<Job::Slot>(job.grid));
  }
  std::unique_lock lock(mutex_);
  job_ = &job;
  running_ = static_cast<int>(workers_.size());
  ++generation_;
  wake_.notify_all();
  idle_.wait(lock, [this] { return running_ == 0; });
}

void HostDevice::worker(int index) {
  std::uint64_t seen = 0;
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
    if (stop_) return;
    seen = generation_;
    Job& job = *job_;
    lock.unlock();
    run_blocks(job, index);
    lock.lock();
    if (--running_ == 0) idle_.notify_all();
  }
}

void HostDevice::run_blocks(Job& job, int index) {
  const int warp_index = index % job.grid.warps_per_block;
  Job::Slot& slot = *job.slots[static_cast<std::size_t>(index / job.grid.warps_per_block)];
  for (;;) {
    // A slot is free once all its warps are: until then another slot may take the next block.
    slot.all.arrive_and_wait(job.grid.warps_per_block);
    if (warp_index == 0) slot.taken = job.next.fetch_add(1);
    slot.all.arrive_and_wait(job.grid.warps_per_block);
    const int taken = slot.taken;
    if (taken >= job.grid.num_blocks) return;
    const host::Block block{.index = job.order[static_cast<std::size_t>(taken)],
                            .shared = slot.shared.get(),
                            .all = &slot.all,
                            .team = &slot.team};
    host::Warp warp({.index = warp_index,
                     .grid = job.grid,
                     .reverse_lanes = options_.reverse_lanes},
                    block, faults_);
    host::RowPipe pipe(slot.stages.get() +
                           static_cast<std::size_t>(warp_index) * job.grid.stage_bytes,
                       job.grid.stage_bytes);
    (*job.kernel)(warp, pipe);
  }
}

Memory HostDevice::allocate(std::size_t bytes) { return allocate_aligned(bytes); }

Memory HostDevice::map_host(void* address, std::size_t /*bytes*/) {
  return Memory(static_cast<std::byte*>(address), [](std::byte* /*address*/) {});
}

Memory HostDevice::allocate_shared(std::size_t bytes, SharedMemoryHandle& handle) {
  return create_shared_memory(bytes, handle);
}

Memory HostDevice::open_shared(const SharedMemoryHandle& handle) {
  return open_shared_memory(handle);
}

void HostDevice::close_shared_name(const SharedMemoryHandle& handle) {
  unlink_shared_memory(handle);
}

void HostDevice::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void HostDevice::fill(void* to, int byte, std::size_t bytes) { std::memset(to, byte, bytes); }

void HostDevice::mark(int index) { marks_[index] = host::now_ns(); }

double HostDevice::elapsed_us(int from, int to) {
  return static_cast<double>(marks_[to] - marks_[from]) / 1e3;
}

int HostDevice::export_dmabuf(std::byte* /*memory*/, std::size_t /*bytes*/) {
  throw Error(ExitCode::kUnavailable, "exporting memory as dma-buf: the host executor has no "
                                      "device memory; use --mr-mode auto");
}

void HostDevice::give_up() { std::atomic_ref(raised_).store(1, std::memory_order_release); }

std::unique_ptr<WordWriter> HostDevice::word_writer() {
  return std::make_unique<HostWordWriter>();
}

}  // namespace llep
