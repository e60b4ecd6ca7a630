// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace softmlx5 {

/// An open uverbs device: a descriptor of /dev/null, and the pages of registers (UARs) that the
/// program maps through it.
class DeviceFile {
 public:
  static constexpr std::uint32_t kMaxPages = 256;
  static constexpr std::size_t kPageBytes = 4096;

  /// The descriptor; -1 with errno.
  int open(int device, int flags);
  void close();

  bool is(int descriptor) const { return descriptor >= 0 && descriptor_ == descriptor; }
  bool is_open() const { return descriptor_ >= 0; }
  int device() const { return device_; }

  std::optional<std::uint32_t> allocate_page();
  void free_page(std::uint64_t page);
  /// What mmap() of the descriptor gives; the offset is one that page_offset() told.
  void* map(void* address, std::size_t bytes, int protection, int flags, std::uint64_t offset);
  static std::uint64_t page_offset(std::uint32_t page);

  struct Doorbell {
    std::uint32_t page = 0;
    int number = 0;  // which register of the page
    std::uint32_t qpn = 0;
  };
  /// Calls rung(Doorbell) for each doorbell register written since the last time. False: none.
  template <class Rung>
  bool take_doorbells(Rung rung) {
    bool any = false;
    for (std::uint32_t page = 0; page < kMaxPages; ++page) {
      if (!allocated_[page]) continue;
      for (int half = 0; half < kNumHalves; ++half) {
        const std::size_t offset = kFirstRegister + static_cast<std::size_t>(half) * kHalfBytes;
        if (const auto qpn = take_doorbell(page * kPageBytes + offset)) {
          rung(Doorbell{.page = page, .number = half / 2, .qpn = *qpn});
          any = true;
        }
      }
    }
    return any;
  }

 private:
  // Two registers a page, each of two halves that libmlx5 uses in turn (mlx5dv.h: bf.reg, bf.size).
  static constexpr std::size_t kFirstRegister = 0x800;
  static constexpr std::size_t kHalfBytes = 0x100;
  static constexpr int kNumHalves = 4;
  std::optional<std::uint32_t> take_doorbell(std::size_t offset);

  std::atomic<int> descriptor_{-1};
  int device_ = 0;
  int memory_ = -1;
  std::byte* pages_ = nullptr;
  std::array<bool, kMaxPages> allocated_ = {};
};

}  // namespace softmlx5
