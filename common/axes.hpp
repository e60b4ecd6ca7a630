// SPDX-License-Identifier: MIT
#pragma once

#include "common/moe_shape.hpp"

namespace llep {

/// What dispatch sends of a token: one copy to each rank that needs it (the receiver expands it),
/// or one copy per selection.
enum class DispatchCopies : int { kRank, kSelection };

/// Send and receive half of an op in one launch, or in two (the hook that overlaps compute).
enum class Phases : int { kFused, kSplit };

/// How ops are timed: each between marks of its own, with dispatch and combine in turn (paired) or
/// right behind a meeting of all devices (fresh); or many back to back between two marks, launched
/// one by one (chained) or as one CUDA graph.
enum class Mode : int { kPaired, kFresh, kChained, kGraph };

/// Whether several ops lie between two marks.
constexpr bool is_chain(Mode mode) { return mode == Mode::kChained || mode == Mode::kGraph; }

/// How a far peer's word is written by an adapter: an RDMA write, or an atomic add.
enum class SignalMode : int { kWrite, kAtomic };

constexpr const char* to_string(SignalMode mode) {
  return mode == SignalMode::kWrite ? "write" : "atomic";
}

constexpr const char* to_string(Mode mode) {
  switch (mode) {
    case Mode::kPaired: return "paired";
    case Mode::kFresh: return "fresh";
    case Mode::kChained: return "chained";
    case Mode::kGraph: break;
  }
  return "graph";
}

constexpr const char* to_string(DispatchDtype dtype) {
  return dtype == DispatchDtype::kBf16 ? "bf16" : "fp8";
}

constexpr const char* to_string(DispatchCopies copies) {
  return copies == DispatchCopies::kRank ? "rank" : "selection";
}

constexpr const char* to_string(Phases phases) {
  return phases == Phases::kFused ? "fused" : "split";
}

}  // namespace llep
