// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "common/exec/model.hpp"

/// Work queue entries of mlx5 adapters as they lie in a send queue: segments of 16 bytes,
/// big-endian. Source: mlx5dv.h (struct mlx5_wqe_ctrl_seg and those that follow it there).
namespace llep {

/// Sizes of a send queue count blocks; each entry here is one.
inline constexpr std::uint32_t kWqeBytes = 64;
/// What an entry holds itself beside where it goes.
inline constexpr std::uint32_t kMostInlineBytes = 28;

enum class WqeOpcode : std::uint32_t {
  kNop = 0x00,
  kWrite = 0x08,
  kFetchAdd = 0x12,
};

/// Of what adapters read and write; all that llep runs on is little-endian.
constexpr std::uint32_t big_endian(std::uint32_t value) {
  return value >> 24 | (value >> 8 & 0xff00U) | (value << 8 & 0xff0000U) | value << 24;
}
constexpr std::uint64_t big_endian(std::uint64_t value) {
  const auto high = static_cast<std::uint32_t>(value >> 32);
  return static_cast<std::uint64_t>(big_endian(static_cast<std::uint32_t>(value))) << 32 |
         big_endian(high);
}

/// An entry; the segments behind the last are whatever lay there before.
struct Wqe {
  Vec16 segment[kWqeBytes / sizeof(Vec16)] = {};
  int num_segments = 0;
};

/// What every entry says.
struct WqeHead {
  std::uint64_t position = 0;  // of the queue, in blocks; 16 bits of it travel
  std::uint32_t qpn = 0;
  bool completion = false;  // asks for one
};
/// Memory of a peer.
struct WqeRemote {
  std::uint64_t address = 0;
  std::uint32_t rkey = 0;
};
/// Memory of this rank.
struct WqeLocal {
  std::uint64_t address = 0;
  std::uint32_t bytes = 0;
  std::uint32_t lkey = 0;
};

namespace wqe {

constexpr Vec16 control(const WqeHead& head, WqeOpcode opcode, int num_segments) {
  constexpr std::uint32_t kAskForCompletion = 0x08;  // MLX5_WQE_CTRL_CQ_UPDATE, of byte 11
  const auto index = static_cast<std::uint32_t>(head.position & 0xffff);
  return {{big_endian(index << 8 | static_cast<std::uint32_t>(opcode)),
           big_endian(head.qpn << 8 | static_cast<std::uint32_t>(num_segments)),
           head.completion ? kAskForCompletion << 24 : 0U, 0U}};
}
constexpr Vec16 remote_segment(const WqeRemote& to) {
  return {{big_endian(static_cast<std::uint32_t>(to.address >> 32)),
           big_endian(static_cast<std::uint32_t>(to.address)), big_endian(to.rkey), 0U}};
}
constexpr Vec16 data_segment(const WqeLocal& from) {
  return {{big_endian(from.bytes), big_endian(from.lkey),
           big_endian(static_cast<std::uint32_t>(from.address >> 32)),
           big_endian(static_cast<std::uint32_t>(from.address))}};
}

}  // namespace wqe

/// RDMA write of memory.
constexpr Wqe encode_write(const WqeHead& head, const WqeRemote& to, const WqeLocal& from) {
  return {
      {wqe::control(head, WqeOpcode::kWrite, 3), wqe::remote_segment(to), wqe::data_segment(from)},
      3};
}

/// RDMA write of what the entry holds itself: `bytes` of the words, a multiple of 4 and at most
/// kMostInlineBytes. Four of a segment's bytes are the length.
struct InlineWords {
  std::uint32_t word[kMostInlineBytes / sizeof(std::uint32_t)] = {};
};
constexpr Wqe encode_inline(const WqeHead& head, const WqeRemote& to, const InlineWords& words,
                            std::uint32_t bytes) {
  constexpr std::uint32_t kInline = 0x80000000U;  // MLX5_INLINE_SEG
  const int num_segments = bytes <= 12 ? 3 : 4;
  const auto& word = words.word;
  return {{wqe::control(head, WqeOpcode::kWrite, num_segments), wqe::remote_segment(to),
           Vec16{{big_endian(kInline | bytes), word[0], word[1], word[2]}},
           Vec16{{word[3], word[4], word[5], word[6]}}},
          num_segments};
}
constexpr Wqe encode_inline(const WqeHead& head, const WqeRemote& to, std::uint32_t value) {
  return encode_inline(head, to, InlineWords{{value}}, sizeof value);
}
constexpr Wqe encode_inline(const WqeHead& head, const WqeRemote& to, std::uint64_t value) {
  return encode_inline(
      head, to,
      InlineWords{{static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(value >> 32)}},
      sizeof value);
}

/// Adds to 8 bytes of the peer's memory; what they held comes back to `result`.
constexpr Wqe encode_fetch_add(const WqeHead& head, const WqeRemote& to, std::uint64_t value,
                               const WqeLocal& result) {
  return {{wqe::control(head, WqeOpcode::kFetchAdd, 4), wqe::remote_segment(to),
           Vec16{{big_endian(static_cast<std::uint32_t>(value >> 32)),
                  big_endian(static_cast<std::uint32_t>(value)), 0U, 0U}},
           wqe::data_segment(result)},
          4};
}

/// Nothing but its place in the order: for its completion.
constexpr Wqe encode_nop(const WqeHead& head) {
  return {{wqe::control(head, WqeOpcode::kNop, 1)}, 1};
}

/// What is stored to the send doorbell record, and to the doorbell register, once entries lie ready
/// before `position`: the record is what the adapter goes by, the register wakes it.
constexpr std::uint32_t doorbell_record(std::uint64_t position) {
  return big_endian(static_cast<std::uint32_t>(position & 0xffff));
}
constexpr std::uint64_t doorbell_value(std::uint64_t position, std::uint32_t qpn) {
  const auto index = static_cast<std::uint32_t>((position - 1) & 0xffff);
  return static_cast<std::uint64_t>(big_endian(qpn << 8)) << 32 | big_endian(index << 8);
}

}  // namespace llep
