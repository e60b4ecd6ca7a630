// SPDX-License-Identifier: MIT
#include "common/mpi_session.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "common/mpi_check.hpp"

namespace llep {
namespace {

/// The code of an abort under way; 0: none. Between MPI_Abort and the end of the process other
/// threads still run, and MPI_Finalize there would wait for ranks that are being killed.
std::atomic<int> abort_code = 0;

/// What one MPI call is given at most: counts are ints, and well below that limit a gather is
/// bound by bandwidth, so that a broadcast from each rank in turn is as fast.
constexpr std::size_t kMaxPieceBytes = std::size_t{64} << 20;

[[noreturn]] void abort_run(ExitCode code) {
  const int status = static_cast<int>(code);
  abort_code.store(status, std::memory_order_release);
  MPI_Abort(MPI_COMM_WORLD, status);
  std::_Exit(status);
}

/// Whether all ranks came to the same point in time. Sleeps between polls: the last to arrive may
/// need this core for its report.
bool all_arrive(MPI_Comm comm, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  MPI_Request request = MPI_REQUEST_NULL;
  if (MPI_Ibarrier(comm, &request) != MPI_SUCCESS) return false;
  while (true) {
    int arrived = 0;
    if (MPI_Test(&request, &arrived, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
    if (arrived != 0) return true;
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

std::string mpi_error_text(int status) {
  std::array<char, MPI_MAX_ERROR_STRING> text = {};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  return text.data();
}

void check_mpi(int status, const char* doing, std::source_location where) {
  if (status == MPI_SUCCESS) return;
  throw Error(ExitCode::kInternal, fmt::format("{}: {}", doing, mpi_error_text(status)), where);
}

void close_communicator(MPI_Comm comm) noexcept {
  int finalized = 0;
  MPI_Finalized(&finalized);
  // MPI-3.1 6.4.3 calls MPI_Comm_free collective and expects it to be local, as it is in practice.
  if (finalized == 0) MPI_Comm_free(&comm);
}

UniqueMpiComm duplicate(MPI_Comm comm) {
  MPI_Comm copy = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(comm, &copy), "MPI_Comm_dup");
  return UniqueMpiComm(copy);
}

MpiSession::MpiSession(std::chrono::milliseconds end_timeout) : end_timeout_(end_timeout) {
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_SERIALIZED) {
    MPI_Finalize();
    throw Error(ExitCode::kUnavailable,
                "MPI_Init_thread: this MPI lets only the main thread call it, one that provides "
                "at least MPI_THREAD_SERIALIZED is needed");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  world_ = duplicate(MPI_COMM_WORLD);  // inherits the error handler
}

MpiSession::~MpiSession() {
  if (const int code = abort_code.load(std::memory_order_acquire)) std::_Exit(code);
  if (!all_arrive(world_.get(), end_timeout_)) {
    int rank = -1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    std::fprintf(stderr, "llep: rank %d: the other ranks did not end within %g s of this one\n",
                 rank, std::chrono::duration<double>(end_timeout_).count());
    std::fflush(stderr);
    abort_run(ExitCode::kDeadline);
  }
  world_ = UniqueMpiComm();
  MPI_Finalize();
}

MpiCommunicator::MpiCommunicator(UniqueMpiComm comm) : comm_(std::move(comm)) {
  check_mpi(MPI_Comm_rank(comm_.get(), &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(comm_.get(), &size_), "MPI_Comm_size");
}

MpiCommunicator MpiCommunicator::world() { return MpiCommunicator(duplicate(MPI_COMM_WORLD)); }

MpiCommunicator MpiCommunicator::split_shared_memory() const {
  MPI_Comm local = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(comm_.get(), MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local),
        "MPI_Comm_split_type");
  return MpiCommunicator(UniqueMpiComm(local));
}

void MpiCommunicator::barrier() { check_mpi(MPI_Barrier(comm_.get()), "MPI_Barrier"); }

void MpiCommunicator::all_gather(std::span<const std::byte> mine, std::span<std::byte> all) {
  if (all.size() != mine.size() * static_cast<std::size_t>(size_)) {
    throw Error(ExitCode::kInternal, fmt::format("all_gather: room for {} bytes, {} ranks of {} "
                                                 "are gathered",
                                                 all.size(), size_, mine.size()));
  }
  if (mine.size() <= kMaxPieceBytes) {
    const auto num_bytes = static_cast<int>(mine.size());
    check_mpi(MPI_Allgather(mine.data(), num_bytes, MPI_BYTE, all.data(), num_bytes, MPI_BYTE,
                        comm_.get()),
          "MPI_Allgather");
    return;
  }
  const auto first = mine.size() * static_cast<std::size_t>(rank_);
  std::copy(mine.begin(), mine.end(), all.subspan(first).begin());
  for (int root = 0; root < size_; ++root) {
    auto rest = all.subspan(mine.size() * static_cast<std::size_t>(root), mine.size());
    while (!rest.empty()) {
      const std::size_t piece = std::min(rest.size(), kMaxPieceBytes);
      check_mpi(MPI_Bcast(rest.data(), static_cast<int>(piece), MPI_BYTE, root, comm_.get()),
            "MPI_Bcast");
      rest = rest.subspan(piece);
    }
  }
}

void MpiCommunicator::abort(ExitCode code) { abort_run(code); }

NodeInfo node_info(MpiCommunicator& comm) {
  MpiCommunicator local = comm.split_shared_memory();
  const int leader = gather_all(local, comm.rank()).front();
  const std::vector<int> leaders = gather_all(comm, leader);
  const std::set<int> nodes(leaders.begin(), leaders.end());
  NodeInfo info{.local_rank = local.rank(),
                .local_size = local.size(),
                .num_nodes = static_cast<int>(nodes.size()),
                .nodes = {}};
  for (const int one : leaders) {
    info.nodes.push_back(static_cast<int>(std::distance(nodes.begin(), nodes.find(one))));
  }
  return info;
}

}  // namespace llep
