// SPDX-License-Identifier: MIT
#include "common/exec/host_executor.hpp"

#include <cstdio>
#include <cstdlib>

namespace llep::host {

namespace {

void raise_fault(const FaultSink& faults, const FaultRecord& record) {
  std::uint32_t nobody = 0;
  std::atomic_ref raised(*faults.raised);
  if (!raised.compare_exchange_strong(nobody, 1)) return;
  FaultRecord unpublished = record;
  unpublished.phase = WaitPhase::kNone;
  *faults.record = unpublished;
  std::atomic_ref(faults.record->phase).store(record.phase, std::memory_order_release);
}

}  // namespace

bool Warp::poll(const Awaited& what, std::uint64_t epoch, WaitPhase phase,
                const std::function<bool(std::uint64_t& seen)>& arrived) const {
  // Two cores carry many ranks of many warps: give the core away, then sleep so that the
  // scheduler does not go round among waiters alone.
  constexpr int kYields = 64;
  constexpr auto kNap = std::chrono::microseconds(50);
  std::uint64_t deadline = 0;
  std::uint64_t seen = 0;
  for (int polls = 0;; ++polls) {
    if (arrived(seen)) return true;
    if (std::atomic_ref(*faults_.raised).load(std::memory_order_acquire) != 0) return false;
    const std::uint64_t now = now_ns();
    if (deadline == 0) deadline = now + faults_.timeout_ns;
    if (now > deadline) {
      fail(what, epoch, phase, seen);
      return false;
    }
    if (polls < kYields) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kNap);
    }
  }
}

void Warp::fail(const Awaited& what, std::uint64_t expected, WaitPhase phase,
                std::uint64_t seen) const {
  raise_fault(faults_, FaultRecord{.phase = phase,
                                   .rank = faults_.rank,
                                   .peer = what.peer,
                                   .expert = what.expert,
                                   .token = what.token,
                                   .expected = expected,
                                   .seen = seen});
}

bool Warp::wait_one(const Awaited& what, std::uint64_t epoch, WaitPhase phase) const {
  return poll(what, epoch, phase, [&](std::uint64_t& seen) {
    seen = load_acquire(what.word);
    return reached(seen, epoch);
  });
}

bool Warp::wait_tagged(const Awaited& what, std::uint64_t epoch, WaitPhase phase) const {
  return poll(what, epoch, phase, [&](std::uint64_t& seen) {
    const std::uint64_t word = load_acquire(what.word);
    seen = word >> 32;
    return has_tag(word, epoch);
  });
}

void Warp::fail_dirty(const char* what) {
  std::fprintf(stderr, "llep: broken invariant: %s() on a warp whose lanes have not synced\n",
               what);
  std::abort();
}

}  // namespace llep::host
