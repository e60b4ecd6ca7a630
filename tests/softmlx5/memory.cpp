// SPDX-License-Identifier: MIT
#include "tests/softmlx5/memory.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "tests/softmlx5/adversary.hpp"

namespace softmlx5 {

namespace {

constexpr int kIndexShift = 8;
constexpr int kSlotShift = 20;

template <class Word>
void store_word(std::byte* to, const std::byte* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  __atomic_store_n(reinterpret_cast<Word*>(to), word, __ATOMIC_RELEASE);
}

/// Of the largest naturally aligned word that ends a range of these bytes at `end`.
std::size_t last_word_bytes(std::uint64_t end, std::size_t bytes) {
  for (const std::size_t word : {8U, 4U, 2U}) {
    if (bytes >= word && end % word == 0) return word;
  }
  return 1;
}

/// A poller that sees the last word, the flag in it whole, also sees everything before it.
void copy_to_host(std::byte* to, const std::byte* from, std::size_t bytes) {
  if (bytes == 0) return;
  const std::size_t word = last_word_bytes(reinterpret_cast<std::uintptr_t>(to) + bytes, bytes);
  const std::size_t bulk = bytes - word;
  if (adversary().splits()) {
    constexpr std::size_t kStep = 8;
    for (std::size_t end = bulk; end > 0; end -= std::min(end, kStep)) {
      const std::size_t begin = end - std::min(end, kStep);
      std::memcpy(to + begin, from + begin, end - begin);
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
  } else {
    std::memcpy(to, from, bulk);
  }
  switch (word) {
    case 8: store_word<std::uint64_t>(to + bulk, from + bulk); break;
    case 4: store_word<std::uint32_t>(to + bulk, from + bulk); break;
    case 2: store_word<std::uint16_t>(to + bulk, from + bulk); break;
    default: store_word<std::uint8_t>(to + bulk, from + bulk);
  }
}

/// Calls copy(piece, bytes, where in the copied range) for the pieces that hold these bytes.
/// Returns the ticket of the last GPU; copies of one GPU at a time are under way.
template <class Copy>
Ticket for_each_part(const PieceList& list, std::uint64_t offset, std::size_t bytes, Copy copy) {
  Gpu* gpu = nullptr;
  std::size_t done = 0;
  for (Piece piece : list.pieces()) {
    if (done == bytes) break;
    if (offset >= piece.bytes) {
      offset -= piece.bytes;
      continue;
    }
    const std::size_t part = std::min<std::size_t>(piece.bytes - offset, bytes - done);
    piece.address += offset;
    if (piece.gpu != nullptr) {
      if (gpu != nullptr && gpu != piece.gpu) gpu->wait();
      gpu = piece.gpu;
    }
    copy(piece, part, done);
    done += part;
    offset = 0;
  }
  return gpu != nullptr ? gpu->ticket() : Ticket{};
}

}  // namespace

std::uint32_t MemoryRegions::add(MemoryRegion& region, int slot) {
  const std::uint32_t handle = regions_.free_handle();
  if (handle == 0) return 0;
  ++variant_;
  region.key = static_cast<std::uint32_t>(slot) << kSlotShift | handle << kIndexShift | variant_;
  regions_.put(handle, std::make_unique<MemoryRegion>(region));
  return handle;
}

const MemoryRegion* MemoryRegions::find_key(std::uint32_t key) const {
  const MemoryRegion* region = regions_.find(key >> kIndexShift & (kMaxMemoryRegions - 1));
  return region != nullptr && region->key == key ? region : nullptr;
}

const char* MemoryRegions::refusal(const Access& access) const {
  const MemoryRegion* region = find_key(access.key);
  if (region == nullptr) return "no region has this key";
  if (region->pd != access.pd) return "the region is of another protection domain";
  if ((region->access & access.rights) != access.rights) {
    return "the region does not grant this access";
  }
  const std::uint64_t offset = access.address - region->iova;
  if (access.address < region->iova || access.bytes > region->bytes ||
      offset > region->bytes - access.bytes) {
    return "it is not within the region";
  }
  return nullptr;
}

std::optional<Piece> MemoryRegions::translate(const Access& access) const {
  if (refusal(access) != nullptr) return std::nullopt;
  const MemoryRegion& region = *find_key(access.key);
  const std::uint64_t address = region.address + (access.address - region.iova);
  return Piece{.address = reinterpret_cast<std::byte*>(address),
               .bytes = access.bytes,
               .gpu = region.gpu,
               .relaxed = (region.access & IBV_ACCESS_RELAXED_ORDERING) != 0};
}

bool PieceList::add(const Piece& piece) {
  if (count_ == pieces_.size()) return false;
  pieces_[count_++] = piece;
  bytes_ += piece.bytes;
  return true;
}

bool PieceList::on_gpu() const {
  return std::any_of(pieces().begin(), pieces().end(),
                     [](const Piece& piece) { return piece.gpu != nullptr; });
}

bool PieceList::broken() const {
  return std::any_of(pieces().begin(), pieces().end(), [](const Piece& piece) {
    return piece.gpu != nullptr && piece.gpu->broken();
  });
}

Ticket gather(const PieceList& from, std::uint64_t offset, std::byte* to, std::size_t bytes) {
  return for_each_part(
      from, offset, bytes, [&](const Piece& piece, std::size_t part, std::size_t at) {
        if (piece.gpu != nullptr) {
          piece.gpu->get(to + at, reinterpret_cast<std::uint64_t>(piece.address), part);
        } else {
          std::memcpy(to + at, piece.address, part);
        }
      });
}

Ticket scatter(const PieceList& to, std::uint64_t offset, const std::byte* from, std::size_t bytes,
               bool last) {
  return for_each_part(to, offset, bytes,
                       [&](const Piece& piece, std::size_t part, std::size_t at) {
                         place(piece, from + at, part, last && at + part == bytes);
                       });
}

Ticket place(const Piece& to, const std::byte* from, std::size_t bytes, bool last) {
  if (to.gpu == nullptr) {
    copy_to_host(to.address, from, bytes);
    return {};
  }
  to.gpu->put(reinterpret_cast<std::uint64_t>(to.address), from, bytes, last);
  return to.gpu->ticket();
}

}  // namespace softmlx5
