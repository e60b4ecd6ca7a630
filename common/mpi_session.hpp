// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include <mpi.h>

#include "common/communicator.hpp"
#include "common/unique_handle.hpp"

namespace llep {

/// Frees an MPI communicator; nothing to do once MPI has ended.
void close_communicator(MPI_Comm comm) noexcept;
using UniqueMpiComm = UniqueHandle<MPI_Comm, close_communicator>;
/// Collective.
UniqueMpiComm duplicate(MPI_Comm comm);

/// MPI from its initialisation to its end. One per process, made first and destroyed last: streams,
/// verbs objects and communicators die before it.
class MpiSession {
 public:
  /// Throws Error(kUnavailable) if MPI allows calls from one thread only: the watchdog and the
  /// proxies are threads of their own.
  explicit MpiSession(std::chrono::milliseconds end_timeout = std::chrono::seconds(60));

  /// Ends MPI together with the other ranks. If they have not come within `end_timeout`, because
  /// this rank left by an error that was never agreed upon, the run is aborted with kDeadline.
  ~MpiSession();

  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

 private:
  std::chrono::milliseconds end_timeout_;
  UniqueMpiComm world_;  // the session's own, so that its last barrier meets no other traffic
};

/// Ranks that are processes. Failing MPI calls throw Error(kInternal) with MPI's own words.
class MpiCommunicator final : public Communicator {
 public:
  /// All ranks, on a communicator of its own. Collective.
  static MpiCommunicator world();
  /// The ranks of `this` that share memory with the caller, in the same order. Collective.
  MpiCommunicator split_shared_memory() const;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void barrier() override;
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override;
  /// Ends the ranks of the whole run, also those outside this communicator.
  [[noreturn]] void abort(ExitCode code) override;

  MPI_Comm handle() const { return comm_.get(); }

 private:
  explicit MpiCommunicator(UniqueMpiComm comm);

  UniqueMpiComm comm_;
  int rank_ = 0;
  int size_ = 1;
};

/// Where a rank is among the nodes. Nodes are numbered by their lowest rank.
struct NodeInfo {
  int local_rank = 0;
  int local_size = 1;
  int num_nodes = 1;
  std::vector<int> nodes = {0};  // [num_ranks] each rank's
};

/// Collective.
NodeInfo node_info(MpiCommunicator& comm);

}  // namespace llep
