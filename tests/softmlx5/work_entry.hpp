// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/softmlx5/memory.hpp"
#include "tests/softmlx5/message.hpp"

namespace softmlx5 {

inline constexpr std::uint32_t kBlockBytes = 64;
inline constexpr std::uint32_t kSegmentBytes = 16;

/// Where the program puts its entries.
struct SendQueue {
  std::byte* buffer = nullptr;
  std::uint32_t num_blocks = 0;  // a power of two

  const std::byte* block(std::uint32_t index) const {
    return buffer + std::size_t{index & (num_blocks - 1)} * kBlockBytes;
  }
};

/// An entry of a send queue, as read from memory. Inline data stays in `raw`: neither copied nor
/// moved once it is read.
struct WorkEntry {
  std::uint16_t index = 0;  // of its first block
  std::uint8_t opcode = 0;
  Op op = Op::kNop;
  bool signaled = false;
  bool solicited = false;
  std::uint32_t num_blocks = 1;
  std::uint32_t immediate = 0;
  std::uint64_t remote_address = 0;
  std::uint32_t rkey = 0;
  std::uint64_t operand = 0;
  std::uint64_t compare = 0;
  PieceList local;

  /// An error's MLX5_CQE_SYNDROME_*, and in words; 0: none.
  std::uint8_t syndrome = 0;
  std::string problem;

  alignas(64) std::array<std::byte, 1024> raw;

  WorkEntry() = default;
  WorkEntry(const WorkEntry&) = delete;
  WorkEntry& operator=(const WorkEntry&) = delete;

  std::uint32_t bytes() const { return static_cast<std::uint32_t>(local.bytes()); }
  /// Whether its local memory is written by the answer.
  bool fetches() const { return op == Op::kRead || op == Op::kCompareSwap || op == Op::kFetchAdd; }
};

/// Who the entry must be for.
struct EntryOwner {
  std::uint32_t qpn = 0;
  std::uint32_t pd = 0;
  const MemoryRegions& regions;
};

/// Reads and checks the entry at block `index`.
void read_entry(WorkEntry& entry, const SendQueue& queue, std::uint16_t index,
                const EntryOwner& owner);

}  // namespace softmlx5
