// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "tests/softmlx5/device.hpp"
#include "tests/softmlx5/gpu.hpp"
#include "tests/softmlx5/table.hpp"

namespace softmlx5 {

struct MemoryRegion {
  const void* owner = nullptr;  // the DeviceFile through which it was registered
  std::uint32_t pd = 0;
  std::uint32_t key = 0;  // both lkey and rkey, as on the adapter
  std::uint32_t access = 0;
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
  std::uint64_t iova = 0;  // what requests call `address`
  Gpu* gpu = nullptr;      // whose memory it is; null: the host's
};

/// Some bytes of a region. They are a GPU's if `gpu` is set.
struct Piece {
  std::byte* address = nullptr;
  std::uint32_t bytes = 0;
  Gpu* gpu = nullptr;
  bool relaxed = false;  // writes may pass each other
};

/// What an access asks for.
struct Access {
  std::uint32_t key = 0;
  std::uint64_t address = 0;
  std::uint32_t bytes = 0;
  std::uint32_t rights = 0;  // IBV_ACCESS_*
  std::uint32_t pd = 0;
};

class MemoryRegions {
 public:
  MemoryRegions() : regions_(kMaxMemoryRegions) {}

  /// The handle; 0: none is left. Sets region.key.
  std::uint32_t add(MemoryRegion& region, int slot);
  MemoryRegion* find(std::uint64_t handle) const { return regions_.find(handle); }
  void erase(std::uint64_t handle) { regions_.erase(handle); }
  void erase_of(const void* owner) {
    regions_.erase_if([&](const MemoryRegion& region) { return region.owner == owner; });
  }

  /// The bytes, if key, domain, bounds and rights allow it.
  std::optional<Piece> translate(const Access& access) const;
  /// Why translate() refuses.
  const char* refusal(const Access& access) const;

 private:
  const MemoryRegion* find_key(std::uint32_t key) const;

  Table<MemoryRegion> regions_;
  std::uint8_t variant_ = 0;  // so that an old key is not taken for its successor's
};

/// The local memory of an entry, in order.
class PieceList {
 public:
  /// False: full.
  bool add(const Piece& piece);
  std::span<const Piece> pieces() const { return {pieces_.data(), count_}; }
  std::uint64_t bytes() const { return bytes_; }
  bool on_gpu() const;
  /// Whether a GPU of theirs failed.
  bool broken() const;

 private:
  std::array<Piece, 64> pieces_;
  std::size_t count_ = 0;
  std::uint64_t bytes_ = 0;
};

/// Copies bytes of the list from `offset` on; they are there when the ticket is done.
Ticket gather(const PieceList& from, std::uint64_t offset, std::byte* to, std::size_t bytes);
/// The reverse. `last`: they are the end of a message, whose last aligned word is written by
/// itself, after everything else.
Ticket scatter(const PieceList& to, std::uint64_t offset, const std::byte* from, std::size_t bytes,
               bool last);
Ticket place(const Piece& to, const std::byte* from, std::size_t bytes, bool last);

}  // namespace softmlx5
