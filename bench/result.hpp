// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bench/sweep.hpp"

/// What a run found out: plain data, complete on rank 0.
namespace llep {

/// Bytes that one op moved, by class: [num_ranks], what each rank sent. Empty: unknown.
/// Pair: the sum of its dispatch and combine. With --fresh-routing means over the iterations.
struct ByteClasses {
  std::vector<std::uint64_t> logical = {};      // a row for every selection
  std::vector<std::uint64_t> unique_rank = {};  // a row for every token and destination rank
  std::vector<std::uint64_t> self = {};         // of what moved: to the rank itself
  std::vector<std::uint64_t> nvlink = {};       // to peers of the node
  std::vector<std::uint64_t> rdma = {};         // to far peers, by adapters or proxies
  std::vector<std::uint64_t> messages = {};     // number of messages, not bytes
};

/// How a routing spreads over ranks and experts. Empty: unknown.
struct Load {
  std::vector<std::uint64_t> rows_per_rank = {};    // [num_ranks] selections of a rank's experts
  std::vector<std::uint64_t> copies_per_rank = {};  // [num_ranks] tokens that go to a rank
  std::vector<std::uint64_t> rows_per_expert = {};  // [num_experts]
  std::vector<std::uint64_t> ranks_per_token = {};  // of all ranks' tokens
};

/// Bytes of one row on the wire: bf16 2 * hidden; FP8 hidden and its fp32 scales; combine is
/// always bf16; pair: both.
constexpr std::int64_t row_bytes(Op op, DispatchDtype dtype, int hidden) {
  const std::int64_t bf16 = 2 * static_cast<std::int64_t>(hidden);
  const std::int64_t fp8 = hidden + 4 * (static_cast<std::int64_t>(hidden) / kScaleGroup);
  const std::int64_t dispatch = dtype == DispatchDtype::kFp8 ? fp8 : bf16;
  switch (op) {
    case Op::kDispatch: return dispatch;
    case Op::kCombine: return bf16;
    case Op::kPair: break;
  }
  return dispatch + bf16;
}

/// The least an op must move, whatever carries it: [num_ranks] bytes. Pair: the sum. Empty: unknown.
struct FloorWork {
  std::vector<std::uint64_t> wire = {};    // a row for every token and other rank
  std::vector<std::uint64_t> memory = {};  // read or written in the rank's own memory
  bool all_to_all = true;                  // every rank sends every other one a row
};

/// Samples of every rank: [num_ranks][num_iterations] microseconds. Empty: not measured.
using RankSamples = std::vector<std::vector<double>>;

/// Of a split op: its receive half right behind the send half, and behind compute in between.
struct Overlap {
  RankSamples receive_us = {};
  RankSamples exposed_us = {};
};

/// One op of one case.
struct OpResult {
  Op op = Op::kDispatch;
  RankSamples us = {};         // host-observed
  RankSamples receive_us = {}; // of `us`, the receive half; empty: one launch
  RankSamples device_us = {};  // first block in to last block out, by the device's clock
  RankSamples wall_us = {};    // the host's clock, from before the launch until the device is idle
  std::vector<double> entry_skew_us = {};  // [num_iterations] from the first rank's to the last's
  double clock_error_us = 0;               // of entry_skew_us, at most
  Overlap overlap = {};
  std::optional<double> cold_us = {};        // first warm-up, maximum over ranks
  std::optional<bool> passed = {};           // nothing: unchecked
  std::int64_t checked_iterations = 0;
  ByteClasses bytes = {};
  FloorWork floor_work = {};
};

/// An epoch or a count is a number; an element is text such as "0x3f80 (1.0)".
using ErrorValue = std::variant<std::monostate, std::uint64_t, std::string>;

/// A failure as a reader of the JSON meets it. What does not apply is empty.
struct ErrorRecord {
  std::string phase = {};  // "dispatch: row", "combine: check", ...
  std::optional<int> rank = {};
  std::optional<int> peer = {};
  std::optional<int> expert = {};  // global
  std::optional<std::int64_t> row = {};
  std::optional<std::int64_t> token = {};
  std::optional<std::int64_t> column = {};
  ErrorValue expected = {};
  ErrorValue seen = {};
  std::string message = {};
};

enum class CaseStatus { kOk, kFailed, kSkipped };

constexpr const char* to_string(CaseStatus status) {
  switch (status) {
    case CaseStatus::kOk: return "ok";
    case CaseStatus::kFailed: return "failed";
    case CaseStatus::kSkipped: break;
  }
  return "skipped";
}

struct CaseResult {
  Case which = {};  // transport: the one that carried the rows, where "auto" was asked for
  CaseStatus status = CaseStatus::kOk;
  std::string reason = {};         // of a skipped or failed case, one line
  Load load = {};                  // with --fresh-routing of the first timed iteration
  std::vector<OpResult> ops = {};  // those that were measured
  std::vector<ErrorRecord> errors = {};
};

}  // namespace llep
