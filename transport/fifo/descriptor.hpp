// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "common/annotations.hpp"

namespace llep {

enum class DescriptorKind : std::uint32_t {
  kPut,     // bytes from this rank's heap to the peer's
  kWords,   // the same from word heap to word heap, each 8-byte word arrives whole: at most
            // kMostWordBytes
  kSignal,  // one 64-bit word
  kFlush,   // complete once all earlier ones of the ring are
};

/// What one descriptor of kWords may carry.
inline constexpr std::uint32_t kMostWordBytes = 1024;

/// What a warp asks a proxy to do.
struct Descriptor {
  DescriptorKind kind = DescriptorKind::kFlush;
  std::int32_t peer = 0;
  std::int32_t channel = 0;  // of the peer
  std::uint32_t bytes = 0;   // puts and words; a multiple of 8
  std::uint64_t to = 0;      // offset in the peer's heap
  std::uint64_t from = 0;    // offset in this rank's heap; signal: the value
};

/// A descriptor as it lies in a ring. A slot is valid by lap: the top bit of each of its words flips
/// every time the ring comes round, so that a word of the lap before is told from one that has just
/// arrived, whatever its value. Each word says so for itself: the order in which a slot's words
/// arrive does not matter.
struct alignas(32) Slot {
  std::uint64_t word[4] = {};
};

inline constexpr std::uint64_t kLapBit = std::uint64_t{1} << 63;

/// The top bit of valid words in lap number `lap`; memory starts as zeros, so lap 0 has ones.
constexpr std::uint64_t lap_bit(std::uint64_t lap) { return (lap & 1) == 0 ? kLapBit : 0; }

/// Limits of what a slot can say.
inline constexpr std::int32_t kMaxFifoPeers = 1 << 14;
inline constexpr std::int32_t kMaxFifoChannels = 1 << 14;

/// Word 0: lap, top bit of `from`, kind, peer, channel. Word 1: lap, bytes. Words 2 and 3: lap, and
/// the low 63 bits of `to` and `from`.
constexpr Slot encode(const Descriptor& what, std::uint64_t lap) {
  const std::uint64_t valid = lap_bit(lap);
  return {{valid | (what.from >> 63) << 62 | static_cast<std::uint64_t>(what.kind) << 32 |
               static_cast<std::uint64_t>(what.peer) << 16 |
               static_cast<std::uint64_t>(what.channel),
           valid | what.bytes, valid | what.to, valid | (what.from & ~kLapBit)}};
}

constexpr bool is_valid(std::uint64_t word, std::uint64_t lap) {
  return (word & kLapBit) == lap_bit(lap);
}

/// Of a slot whose words are all valid.
constexpr DescriptorKind kind_of(const Slot& slot) {
  return static_cast<DescriptorKind>(slot.word[0] >> 32 & 0xff);
}
constexpr Descriptor decode(const Slot& slot) {
  const std::uint64_t head = slot.word[0];
  return {.kind = kind_of(slot),
          .peer = static_cast<std::int32_t>(head >> 16 & 0xffff),
          .channel = static_cast<std::int32_t>(head & 0xffff),
          .bytes = static_cast<std::uint32_t>(slot.word[1]),
          .to = slot.word[2] & ~kLapBit,
          .from = (slot.word[3] & ~kLapBit) | (head >> 62 & 1) << 63};
}

}  // namespace llep
