// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "bench/routing.hpp"
#include "bench/transports.hpp"
#include "bench/verification.hpp"
#include "common/communicator.hpp"
#include "kernels/expert_parallel.hpp"
#include "kernels/payload.hpp"
#include "kernels/reference.hpp"

namespace llep {

/// What a case needs beside its sizes.
struct CaseSetup {
  EpLayout layout;
  RankRouting routing;  // of this rank
  Payload payload = Payload::kHash;
  std::uint64_t seed = kDefaultSeed;
  bool device_clock = true;
};

class GpuMonitor;

/// Where a rank's cases run.
struct RankContext {
  Communicator& world;
  Device& device;
  Launcher& launcher;
  Transport& transport;
  SymmetricHeap& heap;
  const Nodes& nodes;
  GpuMonitor* gpu_monitor = nullptr;  // null on all ranks, or on none
};

/// One case on one rank: its buffers, its inputs, its ops and their judgement. Constructed and
/// rerouted by all ranks together; the other calls do not communicate.
class CaseRun {
 public:
  CaseRun(const RankContext& context, const CaseSetup& setup);

  /// Collective, like the constructor: from now on this is the routing. The next checked iteration
  /// needs a fill() and a poison() again.
  void reroute(const RankRouting& routing);

  /// Inputs of one iteration: rows of other epochs differ in every column.
  void fill(std::uint64_t epoch);
  /// Outputs become what no correct op leaves behind.
  void poison();

  void dispatch(Halves halves);
  void combine(Halves halves);
  /// The identity expert of the reference payload; other payloads need none between the ops.
  void apply_expert();

  /// The device clocks of ops; see ExpertParallel.
  void clear_clocks() { ep_.clear_clocks(); }
  void use_clock(int clock) { ep_.use_clock(clock); }
  BlockTimes op_times(int clock) const { return ep_.op_times(clock); }

  /// The first wrong output of the last ops, whose inputs were filled for `epoch`.
  std::optional<Mismatch> check_dispatch(std::uint64_t epoch);
  std::optional<Mismatch> check_combine(std::uint64_t epoch);

  /// Faults made on purpose, in the inputs as they lie on the device. Undone by the next fill().
  void corrupt_dispatched_row();
  void corrupt_expert_row();
  void misroute();
  void drop_dispatched_signal();
  void drop_expert_signal();

  const GlobalRouting& routing() const { return routing_; }
  const EpLayout& layout() const { return setup_.layout; }

 private:
  const MoeShape& shape() const { return setup_.layout.shape; }
  bool fp8() const { return setup_.layout.dtype == DispatchDtype::kFp8; }
  std::size_t packed_row_bytes() const;
  std::size_t scale_bytes() const;
  int packed_row(const ReceivedRow& at) const;
  Memory upload(const void* data, std::size_t bytes);
  void allocate_inputs();
  void allocate_outputs();
  void upload_routing();
  void list_rows();
  void list_poisoned();
  void send_in_place();
  Bf16* expert_output() const;
  DispatchOutputs outputs() const;
  void upload_topk();
  void corrupt_row(Bf16* row);
  int first_routed_token() const;
  void need_expert_rows() const;
  DispatchedRow dispatched_rows(std::uint64_t epoch) const;

  std::optional<Mismatch> check_rows_in_place(std::uint64_t epoch);
  void upload_expected_rows(std::uint64_t epoch);
  std::uint64_t first_bad_row();
  Mismatch explain(std::size_t index, std::uint64_t epoch);
  std::optional<Mismatch> check_guards();

  RankContext context_;
  CaseSetup setup_;
  GlobalRouting routing_;
  ExpectedDispatch expected_;
  ExpertParallel ep_;

  // Inputs.
  Memory x_;        // [max_tokens, hidden] bf16
  Memory topk_;     // [max_tokens, num_topk] int64
  Memory weights_;  // [max_tokens, num_topk] fp32
  // Outputs of dispatch.
  Memory packed_;  // [L, capacity, hidden]
  Memory scales_;  // [L, hidden / 128, capacity], fp8
  Memory counts_;
  Memory src_info_;
  Memory ranges_;
  // Combine.
  Memory expert_output_;  // [L, capacity, hidden] bf16, unless it lies in the heap
  Memory out_;            // [max_tokens, hidden] bf16

  // Lists of rows on the device, and what they are judged by.
  Memory own_rows_;       // OwnedRow of x
  Memory received_rows_;  // OwnedRow of packed rows
  Memory poisoned_;       // rows that are poisoned: received ones, and one guard per expert
  Memory compared_;       // ComparedRow, as received_rows_
  Memory compared_scales_;
  Memory expected_rows_;  // [num_ranks, max_tokens] rows as they travel, unpadded
  Memory first_bad_;
  std::vector<int> guard_rows_;
  int num_poisoned_ = 0;
  std::vector<std::shared_ptr<void>> sources_;  // ends before the memory
};

}  // namespace llep
