// SPDX-License-Identifier: MIT
#include "common/exec/host_pages.hpp"

#include <unistd.h>

namespace llep {

void HostPages::acquire(const std::byte* address, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  const std::uintptr_t first = page_of(begin);
  for (std::uintptr_t page = first; page < begin + bytes; page += page_bytes_) {
    int& count = counts_[page];
    if (count == 0) {
      try {
        add_(reinterpret_cast<std::byte*>(page), page_bytes_);
      } catch (...) {
        counts_.erase(page);
        release_pages(first, page);
        throw;
      }
    }
    ++count;
  }
}

void HostPages::release(const std::byte* address, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  release_pages(page_of(begin), begin + bytes);
}

void HostPages::release_pages(std::uintptr_t first, std::uintptr_t end) {
  for (std::uintptr_t page = first; page < end; page += page_bytes_) {
    const auto found = counts_.find(page);
    if (found == counts_.end() || --found->second > 0) continue;
    counts_.erase(found);
    remove_(reinterpret_cast<std::byte*>(page), page_bytes_);
  }
}

std::size_t system_page_bytes() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace llep
