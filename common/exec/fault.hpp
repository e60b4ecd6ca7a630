// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

namespace llep {

/// What a wait was for.
enum class WaitPhase : std::int32_t {
  kNone,
  kDispatchBegin,
  kDispatchRouting,
  kDispatchRow,
  kCombineBegin,
  kCombineRow,
  kFifoRoom,   // a free slot of a ring
  kFifoDrain,  // the completion of what was queued
  kProbe,      // a message of a probe, or the answer to it
  kMeeting,    // the other ranks, before an op that all enter together
  kIbgdaRoom,   // a free entry of a send queue
  kIbgdaDrain,  // the completion of a send queue's entries
  kIbgdaError,  // no wait: the adapter completed an entry (expected: its opcode) with an error
                // (seen: syndrome, vendor's syndrome << 8)
};

constexpr const char* to_string(WaitPhase phase) {
  switch (phase) {
    case WaitPhase::kDispatchBegin: return "dispatch: begin";
    case WaitPhase::kDispatchRouting: return "dispatch: routing";
    case WaitPhase::kDispatchRow: return "dispatch: row";
    case WaitPhase::kCombineBegin: return "combine: begin";
    case WaitPhase::kCombineRow: return "combine: row";
    case WaitPhase::kFifoRoom: return "fifo: room in a ring";
    case WaitPhase::kFifoDrain: return "fifo: drain";
    case WaitPhase::kProbe: return "probe: message";
    case WaitPhase::kMeeting: return "meeting of all ranks";
    case WaitPhase::kIbgdaRoom: return "ibgda: room in a send queue";
    case WaitPhase::kIbgdaDrain: return "ibgda: drain";
    case WaitPhase::kIbgdaError: return "ibgda: completion with an error";
    case WaitPhase::kNone: break;
  }
  return "none";
}

/// The first wait of a device that passed its deadline. -1: does not apply.
struct FaultRecord {
  WaitPhase phase = WaitPhase::kNone;
  std::int32_t rank = -1;    // who waited
  std::int32_t peer = -1;    // for whom
  std::int32_t expert = -1;  // global
  std::int32_t token = -1;   // of the source rank (dispatch) or of the waiting rank (combine)
  std::uint64_t expected = 0;
  std::uint64_t seen = 0;
};

/// The record as a host thread may read it at any time: `phase` is written last.
inline FaultRecord read_fault(FaultRecord* record) {
  const WaitPhase phase = std::atomic_ref(record->phase).load(std::memory_order_acquire);
  if (phase == WaitPhase::kNone) return {};
  return *record;
}

/// Where the waits of one device report. Plain data: kernels carry it by value.
struct FaultSink {
  FaultRecord* record = nullptr;     // host memory
  std::uint32_t* raised = nullptr;   // device memory; non-zero: every wait gives up
  std::uint64_t timeout_ns = 10'000'000'000;
  std::int32_t rank = 0;
};

}  // namespace llep
