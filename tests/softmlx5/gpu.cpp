// SPDX-License-Identifier: MIT
#include "tests/softmlx5/gpu.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "tests/softmlx5/adapter.hpp"
#include "tests/softmlx5/engine.hpp"
#include "tests/softmlx5/log.hpp"
#include "tests/softmlx5/options.hpp"

namespace softmlx5 {

namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kLargeBytes = 128U << 10;
constexpr std::uint64_t kPollsPerQuery = 1U << 14;

std::vector<std::unique_ptr<Gpu>>& gpus() {
  static auto* const all = new std::vector<std::unique_ptr<Gpu>>;
  return *all;
}

std::size_t word_bytes_at_end(std::uint64_t end, std::size_t bytes) {
  if (bytes >= 8 && end % 8 == 0) return 8;
  return bytes >= 4 && end % 4 == 0 ? 4 : 0;
}

}  // namespace

/// Makes the context current: for good in the progress thread, for a while in the program's.
class Gpu::Current {
 public:
  explicit Current(const Gpu& gpu) : driver_(gpu.driver_) {
    static thread_local CudaDriver::Context lasting = nullptr;
    if (!engine().is_current_thread()) {
      pushed_ = driver_.push_context(gpu.context_) == 0;
    } else if (lasting != gpu.context_) {
      driver_.set_context(gpu.context_);
      lasting = gpu.context_;
    }
  }
  ~Current() {
    CudaDriver::Context ignored = nullptr;
    if (pushed_) driver_.pop_context(&ignored);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  const CudaDriver& driver_;
  bool pushed_ = false;
};

Gpu* Gpu::of(std::uint64_t address) {
  const CudaDriver* driver = CudaDriver::find();
  if (driver == nullptr || address == 0) return nullptr;
  unsigned type = 0;
  unsigned managed = 0;
  int ordinal = 0;
  if (driver->pointer_attribute(&type, CudaDriver::kMemoryType, address) != 0 ||
      type != CudaDriver::kMemoryTypeDevice ||
      driver->pointer_attribute(&ordinal, CudaDriver::kDeviceOrdinal, address) != 0) {
    return nullptr;
  }
  if (driver->pointer_attribute(&managed, CudaDriver::kIsManaged, address) == 0 && managed != 0) {
    return nullptr;
  }
  CudaDriver::Context context = nullptr;
  driver->pointer_attribute(&context, CudaDriver::kContextOf, address);
  for (const auto& gpu : gpus()) {
    const bool same = context != nullptr ? gpu->context_ == context : gpu->ordinal_ == ordinal;
    if (same) return gpu.get();
  }
  // Memory of cuMemCreate and of pools belongs to no context.
  int device = 0;
  if (context == nullptr && (driver->get_device(&device, ordinal) != 0 ||
                             driver->retain_primary_context(&context, device) != 0)) {
    return nullptr;
  }
  auto gpu = std::make_unique<Gpu>(*driver, context, ordinal);
  if (!gpu->open(address)) return nullptr;
  gpus().push_back(std::move(gpu));
  return gpus().back().get();
}

bool Gpu::open(std::uint64_t some_address) {
  const Current current(*this);
  void* page =
      ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return false;
  pinned_ = static_cast<Pinned*>(page);
  int device = 0;
  int least = 0;
  int greatest = 0;
  driver_.priority_range(&least, &greatest);
  const bool opened =
      check(driver_.get_device(&device, ordinal_), "cuDeviceGet") &&
      check(driver_.get_uuid(uuid_.data(), device), "cuDeviceGetUuid") &&
      check(driver_.create_stream(&stream_, CudaDriver::kNonBlocking, greatest),
            "cuStreamCreateWithPriority") &&
      check(driver_.register_host(page, kPageBytes,
                                  CudaDriver::kPortable | CudaDriver::kDeviceMapped),
            "cuMemHostRegister") &&
      check(driver_.device_pointer(&done_address_, page, 0), "cuMemHostGetDevicePointer");
  if (!opened) return false;
  adapter().fabric.publish_gpu(uuid_);
  // The stream's and the copy engines' first use, before any kernel spins.
  get64(some_address & ~std::uint64_t{7});
  return !broken_;
}

void Gpu::submit_all() {
  for (const auto& gpu : gpus()) gpu->submit();
}

void Gpu::pin_rings(const Fabric& fabric, int slot) {
  static std::array<bool, kMaxSlots> pinned = {};
  if (gpus().empty() || pinned[static_cast<std::size_t>(slot)]) return;
  pinned[static_cast<std::size_t>(slot)] = true;
  Gpu& gpu = *gpus().front();
  const Current current(gpu);
  const int self = fabric.slot();
  for (const auto& [from, to] : {std::pair(self, slot), std::pair(slot, self)}) {
    for (const Ring& ring : {fabric.requests(from, to), fabric.responses(from, to)}) {
      // Copies are right without, and slow.
      const int error = gpu.driver_.register_host(ring.data, ring.bytes, CudaDriver::kPortable);
      if (error != 0 && options().trace) log_line("pinning a ring: CUDA error {}", error);
    }
    if (self == slot) break;
  }
}

bool Gpu::check(CudaDriver::Result result, const char* doing) {
  if (result == 0) return true;
  const bool ending =
      result == CudaDriver::kDeinitialized || result == CudaDriver::kContextDestroyed;
  if (!broken_ && !ending) log_line("GPU {}: {}: CUDA error {}", ordinal_, doing, result);
  broken_ = true;
  return false;
}

void Gpu::submit_if_large() {
  if (bytes_ >= kLargeBytes) submit();
}

void Gpu::submit() {
  if (!dirty_) return;
  dirty_ = false;
  bytes_ = 0;
  const Current current(*this);
  if (num_words_ == kMostCollected) flush();
  words_[num_words_++] = {.address = done_address_, .value = ++submitted_};
  flush();
}

bool Gpu::done(std::uint64_t submission) {
  if (broken_ || pinned_->done >= submission) {
    std::atomic_thread_fence(std::memory_order_acquire);
    return true;
  }
  // A kernel's error ends the context, and the counter stands still.
  if (++polls_ % kPollsPerQuery == 0 && submission <= submitted_) {
    const Current current(*this);
    const int result = driver_.query_stream(stream_);
    if (result != CudaDriver::kNotReady) check(result, "copies");
  }
  return broken_;
}

void Gpu::wait() {
  submit();
  while (!done(submitted_)) {
  }
}

bool Gpu::overlaps(std::uint64_t to, std::size_t bytes) const {
  for (std::size_t i = 0; i < num_copies_; ++i) {
    if (to < copy_to_[i] + copy_bytes_[i] && copy_to_[i] < to + bytes) return true;
  }
  for (std::size_t i = 0; i < num_words_; ++i) {
    if (to < words_[i].address + 8 && words_[i].address < to + bytes) return true;
  }
  return false;
}

void Gpu::add_copy(bool to_gpu, std::uint64_t to, std::uint64_t from, std::size_t bytes) {
  if (num_copies_ == kMostCollected) flush();
  to_gpu_ = to_gpu;
  copy_to_[num_copies_] = to;
  copy_from_[num_copies_] = from;
  copy_bytes_[num_copies_++] = bytes;
}

void Gpu::get(std::byte* to, std::uint64_t from, std::size_t bytes) {
  if (bytes == 0) return;
  if (to_gpu_ && num_copies_ + num_words_ > 0) flush();
  dirty_ = true;
  bytes_ += bytes;
  add_copy(false, reinterpret_cast<std::uint64_t>(to), from, bytes);
}

void Gpu::put(std::uint64_t to, const std::byte* from, std::size_t bytes, bool last) {
  if (bytes == 0) return;
  if ((!to_gpu_ && num_copies_ > 0) || overlaps(to, bytes)) flush();
  dirty_ = true;
  bytes_ += bytes;
  const std::size_t word = last ? word_bytes_at_end(to + bytes, bytes) : 0;
  const std::size_t bulk = bytes - word;
  if (bulk > 0) add_copy(true, to, reinterpret_cast<std::uint64_t>(from), bulk);
  to_gpu_ = true;
  if (word > 0) add_word(to + bulk, from + bulk, word);
}

void Gpu::add_word(std::uint64_t to, const std::byte* from, std::size_t bytes) {
  if (flags_by_copy()) {
    flush();
    const Current current(*this);
    if (!broken_) check(driver_.copy_to_device(to, from, bytes, stream_), "copying a word");
    return;
  }
  if (num_words_ == kMostCollected) flush();
  auto& word = words_[num_words_++];
  word = {.operation = bytes == 8 ? CudaDriver::ValueWrite::k64 : CudaDriver::ValueWrite::k32,
          .address = to};
  std::memcpy(&word.value, from, bytes);
}

/// Value writes into the memory of a GPU that processes take turns on have been seen to come late
/// or never while its kernels spin.
bool Gpu::flags_by_copy() const {
  const auto wanted = options().gpu_flag;
  if (wanted == Options::GpuFlag::kFitting) return adapter().fabric.shares_gpu(uuid_);
  return wanted == Options::GpuFlag::kCopy;
}

void Gpu::flush() {
  const Current current(*this);
  flush_copies();
  flush_words();
}

void Gpu::flush_copies() {
  const std::size_t count = num_copies_;
  num_copies_ = 0;
  if (count > 1 && driver_.copy_batch != nullptr && !broken_) {
    CudaDriver::CopyAttributes attributes;
    std::size_t first = 0;
    check(driver_.copy_batch(copy_to_.data(), copy_from_.data(), copy_bytes_.data(), count,
                             &attributes, &first, 1, stream_),
          "cuMemcpyBatchAsync");
    return;
  }
  for (std::size_t i = 0; i < count && !broken_; ++i) {
    if (to_gpu_) {
      check(driver_.copy_to_device(copy_to_[i], reinterpret_cast<const void*>(copy_from_[i]),
                                   copy_bytes_[i], stream_),
            "cuMemcpyHtoDAsync");
    } else {
      check(driver_.copy_to_host(reinterpret_cast<void*>(copy_to_[i]), copy_from_[i],
                                 copy_bytes_[i], stream_),
            "cuMemcpyDtoHAsync");
    }
  }
}

/// Each is preceded by a fence of the stream's earlier work (CUDA driver API,
/// cuStreamWriteValue64).
void Gpu::flush_words() {
  const auto count = static_cast<unsigned>(num_words_);
  num_words_ = 0;
  if (count == 0 || broken_) return;
  check(driver_.write_values(stream_, count, words_.data(), 0), "cuStreamBatchMemOp");
}

std::uint64_t Gpu::get64(std::uint64_t from) {
  get(const_cast<std::byte*>(reinterpret_cast<volatile std::byte*>(&pinned_->word_in)), from, 8);
  wait();
  return pinned_->word_in;
}

void Gpu::put64(std::uint64_t to, std::uint64_t value) {
  pinned_->word_out = value;
  put(to, reinterpret_cast<const std::byte*>(&pinned_->word_out), 8, true);
  wait();
}

}  // namespace softmlx5
