// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "common/error.hpp"

namespace llep {

/// The ranks of one run. Every call is collective and made by all ranks in the same order.
/// Two implementations: MpiCommunicator, and ThreadCommunicator (ranks as threads of one process).
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual void barrier() = 0;

  /// Every rank's `mine` (the same size everywhere) in rank order into `all`
  /// (size() * mine.size() bytes).
  virtual void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;

  /// Ends all ranks at once, from any thread, without their agreement: the watchdog's last means.
  [[noreturn]] virtual void abort(ExitCode code) = 0;
};

/// One trivially copyable value of every rank, in rank order.
template <class T>
  requires std::is_trivially_copyable_v<T>
std::vector<T> gather_all(Communicator& comm, const T& mine) {
  std::vector<T> all(static_cast<std::size_t>(comm.size()));
  comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  return all;
}

/// Equal-length vectors of every rank, one after the other in rank order.
template <class T>
  requires std::is_trivially_copyable_v<T>
std::vector<T> gather_all(Communicator& comm, std::span<const T> mine) {
  std::vector<T> all(mine.size() * static_cast<std::size_t>(comm.size()));
  comm.all_gather(std::as_bytes(mine), std::as_writable_bytes(std::span(all)));
  return all;
}

/// Strings of any length of every rank, in rank order.
std::vector<std::string> gather_strings(Communicator& comm, const std::string& mine);

/// Runs `f` (which must not communicate) on every rank; all ranks return, or all throw the lowest
/// failing rank's message and code, prefixed by "rank N: " when it is not this rank alone.
void collectively(Communicator& comm, const std::function<void()>& f);

/// Runs `f`, which ends the same way on every rank (it computes from what all ranks have): one of
/// them may speak for all.
template <class F>
auto same_everywhere(F f) {
  try {
    return f();
  } catch (Error& error) {
    error.set_agreed();
    throw;
  }
}

/// Agreement with nothing to run: throws everywhere if `error` is set anywhere.
void agree(Communicator& comm, const Error* error);

}  // namespace llep
