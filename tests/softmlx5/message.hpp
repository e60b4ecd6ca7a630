// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace softmlx5 {

enum class Op : std::uint8_t {
  kFiller,  // the rest of a ring
  kSend,
  kSendImmediate,
  kSendInvalidate,
  kWrite,
  kWriteImmediate,
  kRead,
  kCompareSwap,
  kFetchAdd,
  kNop,
  // Answers
  kAck,
  kNak,
  kNotReady,  // no receive posted; `syndrome` is the time to wait, as in min_rnr_timer
  kSilence,   // what a real adapter would leave unanswered
  kReadData,
  kAtomicResult,
};

/// One record of a ring: this header, then `payload_bytes`. A message is one record or several, in
/// any order between the first and the last.
struct alignas(64) Message {
  std::uint32_t record_bytes = 0;
  Op op = Op::kFiller;
  bool first : 1 = false;
  bool last : 1 = false;
  bool solicited : 1 = false;
  std::uint8_t syndrome = 0;
  std::uint8_t device = 0;  // that the sender addressed
  std::uint32_t to_qpn = 0;
  std::uint32_t from_qpn = 0;
  std::uint32_t sequence = 0;  // of the message; 24 bits
  std::uint32_t payload_bytes = 0;
  std::uint32_t message_bytes = 0;
  std::uint32_t offset = 0;  // of this payload in the message
  std::uint64_t remote_address = 0;
  std::uint32_t rkey = 0;
  std::uint32_t immediate = 0;  // as it stood in the entry: big-endian
  std::uint64_t operand = 0;    // added, swapped in, or the atomic's result
  std::uint64_t compare = 0;

  std::byte* payload() { return reinterpret_cast<std::byte*>(this + 1); }
  const std::byte* payload() const { return reinterpret_cast<const std::byte*>(this + 1); }
};
static_assert(sizeof(Message) == 64);

inline constexpr std::uint32_t kSequenceMask = 0xffffff;

/// How far `a` is ahead of `b`, in 24-bit numbers.
inline std::int32_t sequence_distance(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>((a - b) << 8) >> 8;
}

}  // namespace softmlx5
