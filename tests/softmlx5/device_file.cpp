// SPDX-License-Identifier: MIT
#include "tests/softmlx5/device_file.hpp"

#include <endian.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace softmlx5 {

namespace {

/// In pages: beyond the offsets of registers that older libraries map by number.
constexpr std::uint64_t kFirstPage = 0x10000;
constexpr std::size_t kAllBytes = DeviceFile::kMaxPages * DeviceFile::kPageBytes;

/// Past our own hooks.
void* map_memory(void* address, std::size_t bytes, int protection, int flags, int descriptor,
                 std::uint64_t offset) {
  return reinterpret_cast<void*>(
      ::syscall(SYS_mmap, address, bytes, protection, flags, descriptor, offset));
}

}  // namespace

int DeviceFile::open(int device, int flags) {
  const int memory = ::memfd_create("softmlx5-registers", MFD_CLOEXEC);
  if (memory < 0 || ::ftruncate(memory, kAllBytes) != 0) return -1;
  void* pages = map_memory(nullptr, kAllBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (pages == MAP_FAILED) return -1;
  device_ = device;
  memory_ = memory;
  pages_ = static_cast<std::byte*>(pages);
  allocated_ = {};
  descriptor_ =
      static_cast<int>(::syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | (flags & O_CLOEXEC)));
  return descriptor_;
}

void DeviceFile::close() {
  descriptor_ = -1;
  ::munmap(pages_, kAllBytes);
  ::syscall(SYS_close, memory_);
  pages_ = nullptr;
  memory_ = -1;
}

std::optional<std::uint32_t> DeviceFile::allocate_page() {
  for (std::uint32_t page = 0; page < kMaxPages; ++page) {
    if (allocated_[page]) continue;
    allocated_[page] = true;
    std::memset(pages_ + page * kPageBytes, 0, kPageBytes);
    return page;
  }
  return std::nullopt;
}

void DeviceFile::free_page(std::uint64_t page) {
  if (page < kMaxPages) allocated_[page] = false;
}

std::uint64_t DeviceFile::page_offset(std::uint32_t page) {
  return (kFirstPage + page) * kPageBytes;
}

void* DeviceFile::map(void* address, std::size_t bytes, int protection, int flags,
                      std::uint64_t offset) {
  const std::uint64_t page = offset / kPageBytes - kFirstPage;
  if (page >= kMaxPages || bytes > kPageBytes) {
    errno = EOPNOTSUPP;  // the clock, and registers by number
    return MAP_FAILED;
  }
  return map_memory(address, bytes, protection | PROT_READ, flags, memory_, page * kPageBytes);
}

/// The first 8 bytes of a control segment; their second half names the queue pair.
std::optional<std::uint32_t> DeviceFile::take_doorbell(std::size_t offset) {
  auto* const address = reinterpret_cast<std::uint64_t*>(pages_ + offset);
  const std::atomic_ref<std::uint64_t> doorbell(*address);
  if (doorbell.load(std::memory_order_relaxed) == 0) return std::nullopt;
  const std::uint64_t value = doorbell.exchange(0, std::memory_order_acq_rel);
  return be32toh(static_cast<std::uint32_t>(value >> 32)) >> 8;
}

}  // namespace softmlx5
