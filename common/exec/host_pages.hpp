// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

namespace llep {

/// Pages of host memory that a device knows: each is made known once, however many objects lie on
/// it, and forgotten with the last of them. Libraries place small records of several objects on one
/// page, and a device refuses to be told of a page twice.
class HostPages {
 public:
  using Call = std::function<void(std::byte* page, std::size_t page_bytes)>;

  /// `add` may throw, `remove` may not.
  HostPages(std::size_t page_bytes, Call add, Call remove)
      : page_bytes_(page_bytes), add_(std::move(add)), remove_(std::move(remove)) {}

  /// All pages of the bytes. Throws what `add` throws, having taken nothing.
  void acquire(const std::byte* address, std::size_t bytes);
  /// Of exactly what was acquired.
  void release(const std::byte* address, std::size_t bytes);

  std::size_t num_pages() const { return counts_.size(); }

 private:
  std::uintptr_t page_of(std::uintptr_t address) const {
    return address / page_bytes_ * page_bytes_;
  }
  void release_pages(std::uintptr_t first, std::uintptr_t end);

  std::size_t page_bytes_;
  Call add_;
  Call remove_;
  std::map<std::uintptr_t, int> counts_;  // by address
};

/// Of this machine: 4 KiB, 16 KiB, 64 KiB.
std::size_t system_page_bytes();

}  // namespace llep
