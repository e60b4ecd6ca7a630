// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace llep {

/// Writes 64-bit words of a device's memory from the host while kernels wait for them. One thread
/// uses it.
class WordWriter {
 public:
  virtual ~WordWriter() = default;

  /// Writes whole words that lie behind each other; `from` may change once it returns.
  virtual void copy(std::byte* to, const std::byte* from, std::size_t bytes) = 0;
  /// One word, which kernels see only after what this thread wrote to host memory and copied
  /// before. Of two values of one word the later one stays.
  virtual void store(std::byte* to, std::uint64_t value) = 0;
  /// Starts what has been stored. Waits for nothing.
  virtual void flush() = 0;
};

}  // namespace llep
