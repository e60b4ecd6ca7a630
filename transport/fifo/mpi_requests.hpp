// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>
#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "common/error.hpp"
#include "common/mpi_check.hpp"

namespace llep {

/// What a completed request was for.
struct MpiToken {
  enum class Kind { kHeaderSent, kRowSent, kHeaderReceived, kRowReceived };
  Kind kind;
  int peer;
  std::uint64_t number;  // header: of its buffer; row: in the order sent or received
};

/// For calls that move messages from or to one rank.
inline void check_message(int status, const char* call, int peer) {
  if (status == MPI_SUCCESS) return;
  throw Error(ExitCode::kInternal,
              fmt::format("wire mpi: {} with rank {}: {}; is that process alive? Then what MPI "
                          "says of its network (mpirun --mca btl_base_verbose 30)",
                          call, peer, mpi_error_text(status)));
}

/// Requests under way; completed ones are handed over in no order.
class MpiRequests {
 public:
  MPI_Request* add(const MpiToken& token) {
    tokens_.push_back(token);
    requests_.push_back(MPI_REQUEST_NULL);
    return &requests_.back();
  }

  template <class F>
  void test(F completed) {
    if (requests_.empty()) return;
    indices_.resize(requests_.size());
    statuses_.resize(requests_.size());
    int count = 0;
    const int status = MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count,
                                    indices_.data(), statuses_.data());
    if (status == MPI_ERR_IN_STATUS) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        const MpiToken& token = tokens_[static_cast<std::size_t>(indices_[i])];
        check_message(statuses_[i].MPI_ERROR, "MPI_Testsome", token.peer);
      }
    }
    check_mpi(status, "MPI_Testsome");
    if (count <= 0) return;  // or MPI_UNDEFINED
    std::vector<MpiToken> done;
    for (int i = 0; i < count; ++i) {
      done.push_back(tokens_[static_cast<std::size_t>(indices_[static_cast<std::size_t>(i)])]);
    }
    compact();
    for (const MpiToken& token : done) completed(token);
  }

  /// Receives are cancelled; what is still being sent is let go.
  void cancel() {
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      const auto kind = tokens_[i].kind;
      if (kind == MpiToken::Kind::kHeaderReceived || kind == MpiToken::Kind::kRowReceived) {
        MPI_Cancel(&requests_[i]);
        MPI_Wait(&requests_[i], MPI_STATUS_IGNORE);
      } else {
        MPI_Request_free(&requests_[i]);
      }
    }
    requests_.clear();
    tokens_.clear();
  }

 private:
  void compact() {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      if (requests_[i] == MPI_REQUEST_NULL) continue;
      requests_[kept] = requests_[i];
      tokens_[kept++] = tokens_[i];
    }
    requests_.resize(kept);
    tokens_.erase(tokens_.begin() + static_cast<std::ptrdiff_t>(kept), tokens_.end());
  }

  std::vector<MPI_Request> requests_;
  std::vector<MpiToken> tokens_;
  std::vector<int> indices_;
  std::vector<MPI_Status> statuses_;
};

/// Numbered in order, completed in any: the first that is not complete.
class InOrder {
 public:
  std::uint64_t next() const { return first_ + done_.size(); }
  std::uint64_t add(bool done) {
    done_.push_back(done);
    settle();
    return next() - 1;
  }
  void complete(std::uint64_t number) {
    done_[static_cast<std::size_t>(number - first_)] = true;
    settle();
  }
  std::uint64_t first_open() const { return first_; }

 private:
  void settle() {
    while (!done_.empty() && done_.front()) {
      done_.pop_front();
      ++first_;
    }
  }
  std::deque<bool> done_;
  std::uint64_t first_ = 0;
};

}  // namespace llep
