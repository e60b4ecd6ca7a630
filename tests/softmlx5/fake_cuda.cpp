// SPDX-License-Identifier: MIT
#include "tests/softmlx5/fake_cuda.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "tests/softmlx5/cuda_driver.hpp"

namespace fake_cuda {

namespace {

using softmlx5::CudaDriver;
using Address = CudaDriver::Address;

constexpr int kInvalidValue = 1;

struct Range {
  std::byte* forbidden;
  std::byte* memory;
  std::size_t bytes;
};
std::vector<Range> ranges;

const Range* find(Address address) {
  for (const Range& range : ranges) {
    const auto begin = reinterpret_cast<Address>(range.forbidden);
    if (address >= begin && address < begin + range.bytes) return &range;
  }
  return nullptr;
}

std::byte* reach(Address address) {
  const Range* range = find(address);
  return range == nullptr ? reinterpret_cast<std::byte*>(address)
                          : range->memory + (address - reinterpret_cast<Address>(range->forbidden));
}

/// Does what it is given in order, in a thread of its own that dawdles.
class Stream {
 public:
  Stream() : thread_([this] { run(); }) { thread_.detach(); }
  void add(std::function<void(std::mt19937&)> work) {
    const std::lock_guard guard(mutex_);
    work_.push_back(std::move(work));
    changed_.notify_one();
  }

 private:
  void run() {
    for (std::mt19937 random(1);;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !work_.empty(); });
      const auto work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      if (random() % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
      work(random);
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void(std::mt19937&)>> work_;
  std::thread thread_;
};

Stream& stream_of(CudaDriver::Stream stream) { return *static_cast<Stream*>(stream); }

struct Copy {
  std::byte* to;
  const std::byte* from;
  std::size_t bytes;
};

void copy_later(CudaDriver::Stream stream, std::vector<Copy> copies) {
  stream_of(stream).add([copies](std::mt19937& random) mutable {
    std::shuffle(copies.begin(), copies.end(), random);
    for (const Copy& copy : copies) std::memcpy(copy.to, copy.from, copy.bytes);
  });
}

void write_value(const CudaDriver::ValueWrite& write) {
  std::byte* to = reach(write.address);
  if (write.operation == CudaDriver::ValueWrite::k64) {
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(to), write.value, __ATOMIC_RELEASE);
  } else {
    __atomic_store_n(reinterpret_cast<std::uint32_t*>(to), static_cast<std::uint32_t>(write.value),
                     __ATOMIC_RELEASE);
  }
}

}  // namespace

std::byte* allocate(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void* forbidden = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ranges.push_back({static_cast<std::byte*>(forbidden), static_cast<std::byte*>(memory), bytes});
  return ranges.back().forbidden;
}

std::byte* seen_by_kernels(std::byte* memory) { return reach(reinterpret_cast<Address>(memory)); }

extern "C" {

int cuPointerGetAttribute(void* value, int attribute, Address address) {
  if (find(address) == nullptr) return kInvalidValue;
  if (attribute == CudaDriver::kContextOf) {
    *static_cast<void**>(value) = &ranges;
  } else {
    *static_cast<unsigned*>(value) =
        attribute == CudaDriver::kMemoryType ? CudaDriver::kMemoryTypeDevice : 0;
  }
  return 0;
}
int cuCtxSetCurrent(void* /*context*/) { return 0; }
int cuCtxPushCurrent_v2(void* /*context*/) { return 0; }
int cuCtxPopCurrent_v2(void** /*context*/) { return 0; }
int cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  *least = *greatest = 0;
  return 0;
}
int cuStreamCreateWithPriority(void** stream, unsigned flags, int /*priority*/) {
  if (flags != CudaDriver::kNonBlocking) return kInvalidValue;
  *stream = new Stream;
  return 0;
}
int cuStreamQuery(void* /*stream*/) { return CudaDriver::kNotReady; }
int cuMemcpyDtoHAsync_v2(void* to, Address from, std::size_t bytes, void* stream) {
  copy_later(stream, {{static_cast<std::byte*>(to), reach(from), bytes}});
  return find(from) != nullptr ? 0 : kInvalidValue;
}
int cuMemcpyHtoDAsync_v2(Address to, const void* from, std::size_t bytes, void* stream) {
  copy_later(stream, {{reach(to), static_cast<const std::byte*>(from), bytes}});
  return find(to) != nullptr ? 0 : kInvalidValue;
}
int cuMemHostRegister_v2(void* /*memory*/, std::size_t /*bytes*/, unsigned /*flags*/) { return 0; }
int cuMemHostGetDevicePointer_v2(Address* pointer, void* memory, unsigned /*flags*/) {
  *pointer = reinterpret_cast<Address>(memory);
  return 0;
}
int cuStreamBatchMemOp_v2(void* stream, unsigned count, CudaDriver::ValueWrite* writes,
                          unsigned /*flags*/) {
  const std::vector<CudaDriver::ValueWrite> all(writes, writes + count);
  stream_of(stream).add([all](std::mt19937& /*random*/) {
    for (const auto& write : all) write_value(write);
  });
  return 0;
}
int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return 0;
}
int cuDeviceGetUuid_v2(void* uuid, int /*device*/) {
  std::memset(uuid, 7, 16);
  return 0;
}
int cuDevicePrimaryCtxRetain(void** context, int /*device*/) {
  *context = &ranges;
  return 0;
}
int cuMemcpyBatchAsync_v2(Address* to, Address* from, std::size_t* bytes, std::size_t count,
                          CudaDriver::CopyAttributes* /*attributes*/, std::size_t* /*first*/,
                          std::size_t /*num_attributes*/, void* stream) {
  std::vector<Copy> copies;
  for (std::size_t i = 0; i < count; ++i)
    copies.push_back({reach(to[i]), reach(from[i]), bytes[i]});
  copy_later(stream, copies);
  return 0;
}

}  // extern "C"

}  // namespace fake_cuda
