// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "bench/result_writer.hpp"
#include "common/communicator.hpp"

namespace llep {

/// The results of one command: a file on rank 0, nothing elsewhere.
class Report {
 public:
  explicit Report(Communicator& world) : world_(world) {}
  virtual ~Report() = default;
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  /// Collective.
  void set(const TransportSummary& transport);
  /// Collective. What it warns of is printed when the command ends.
  void set(const RanksHealth& ranks);
  /// Collective; `complete`: everything asked for was measured.
  void end(bool complete);
  /// The command ends early: what was measured stays, `complete` stays false. Keeps its own failure
  /// to itself, the error is the one to tell. Does not communicate.
  void fail(const ErrorRecord& error) noexcept;

 protected:
  Communicator& world() const { return world_; }
  /// Null but on rank 0.
  virtual ResultDocument* document() = 0;

 private:
  void print_end(bool complete);

  Communicator& world_;
  std::vector<std::string> warnings_;  // on rank 0
};

/// Where the results of a command go.
std::filesystem::path result_path(const RunOptions& options);

/// What went wrong, on rank 0's stderr, line by line.
void print_errors(const Communicator& world, const std::vector<ErrorRecord>& errors);

}  // namespace llep
