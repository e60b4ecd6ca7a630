// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/communicator.hpp"

namespace llep {

/// Thrown by collectives that can no longer be completed because another rank is gone: a
/// consequence, never the cause.
class WorldBroken final : public Error {
 public:
  explicit WorldBroken(const std::string& message) : Error(ExitCode::kInternal, message) {}
};

/// Ranks as threads of one process, so that sanitizers see all of them at once. Collectives meet
/// under one mutex, which also orders everything before a collective before everything after it.
class ThreadWorld {
 public:
  explicit ThreadWorld(int size);

  /// The communicator of rank `r`, for one thread; it may outlive the world.
  std::unique_ptr<Communicator> rank(int r);

  /// Rank `r` takes part no more. Collectives that wait for it, or are begun later, throw
  /// WorldBroken with `why`; those that all ranks have reached still complete.
  void leave(int r, const std::string& why);

  struct State;

 private:
  std::shared_ptr<State> state_;
};

/// Runs `body` as `size` ranks and returns when all have ended. If some threw, the exception of the
/// lowest rank that failed by itself is thrown; the others' WorldBroken are its consequences.
void run_ranks(int size, const std::function<void(Communicator&)>& body);

}  // namespace llep
