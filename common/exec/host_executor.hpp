// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstring>
#include <thread>
#include <type_traits>

#include "common/exec/fault.hpp"
#include "common/exec/model.hpp"

/// The `host` executor: each warp of the grid is a thread, each lane loop a plain loop.
namespace llep::host {

inline std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds(1));
}

/// A barrier whose callers say how many they are; all calls in flight say the same.
class Barrier {
 public:
  void arrive_and_wait(int count) {
    const std::uint32_t phase = phase_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.fetch_add(1, std::memory_order_acq_rel);
      phase_.notify_all();
    } else {
      phase_.wait(phase, std::memory_order_acquire);
    }
  }

 private:
  std::atomic<int> arrived_ = 0;
  std::atomic<std::uint32_t> phase_ = 0;
};

/// What the warps of one block share.
struct Block {
  int index = 0;
  std::byte* shared = nullptr;
  Barrier* all = nullptr;
  Barrier* team = nullptr;
};

class Warp;

/// A value of `one_later`.
template <class T>
struct Later {
  T value;
  T get(Warp& /*warp*/) const { return value; }
};

/// One value per lane. `[i]` is for the function of a primitive that is called with that i.
template <class T>
class Lanes {
 public:
  const T& operator[](int i) const { return at_[static_cast<std::size_t>(i)]; }
  T get(Warp& /*warp*/, int i) const { return (*this)[i]; }
  void set(Warp& /*warp*/, int i, T value) { at_[static_cast<std::size_t>(i)] = value; }

 private:
  std::array<T, kMaxLanes> at_ = {};
};

class Warp {
 public:
  struct Place {
    int index = 0;
    GridShape grid;
    bool reverse_lanes = false;
  };

  Warp(const Place& place, const Block& block, const FaultSink& faults)
      : place_(place), block_(block), faults_(faults) {}

  int index() const { return place_.index; }
  int num_warps() const { return place_.grid.warps_per_block; }
  int block() const { return block_.index; }
  int num_blocks() const { return place_.grid.num_blocks; }
  std::byte* shared() const { return block_.shared; }

  void sync() { dirty_ = false; }
  void block_sync() {
    dirty_ = false;
    block_.all->arrive_and_wait(num_warps());
  }
  void team_sync(const Team& team) {
    dirty_ = false;
    block_.team->arrive_and_wait(team.num_warps);
  }

  template <class F>
  auto one(F f) {
    refuse_dirty("one");
    return f();
  }
  template <class F>
  auto one_later(F f) {
    return Later<std::invoke_result_t<F>>{one(f)};
  }

  template <class F>
  void for_each(int n, F f) {
    dirty_ = dirty_ || n > 0;
    if (place_.reverse_lanes) {
      for (int i = n - 1; i >= 0; --i) f(i);
    } else {
      for (int i = 0; i < n; ++i) f(i);
    }
  }
  template <class F>
  void team_for_each(const Team& team, int n, F f) {
    const int me = index() - team.first;
    const int mine = n > me ? divide_up(n - me, team.num_warps) : 0;
    for_each(mine, [&](int i) { f(me + i * team.num_warps); });
  }
  template <class F>
  int sum(int n, F f) const {
    int total = 0;
    for (int i = 0; i < n; ++i) total += f(i);
    return total;
  }
  template <class F>
  std::uint32_t bits(int n, F f) const {
    std::uint32_t all = 0;
    for (int i = 0; i < n; ++i) all |= f(i);
    return all;
  }
  template <class F>
  auto lanes(int n, F f) {
    Lanes<std::invoke_result_t<F, int>> all;
    for (int i = 0; i < n; ++i) all.set(*this, i, f(i));
    return all;
  }

  /// True once every word has reached the epoch: what was written before its signal may be read.
  /// False once a wait of this device has failed; the first to fail leaves the record.
  template <class F>
  bool wait_all(int n, F awaited, std::uint64_t epoch, WaitPhase phase) {
    for (int i = 0; i < n; ++i) {
      const Awaited what = awaited(i);
      if (what.word != nullptr && !wait_one(what, epoch, phase)) return false;
    }
    return true;
  }

  /// `*word(i) = epoch` for every i (nullptr: none), after everything this warp wrote or committed.
  template <class F>
  void signal(int n, F word, std::uint64_t epoch) {
    refuse_dirty("signal");
    for (int i = 0; i < n; ++i) {
      if (std::uint64_t* to = word(i)) std::atomic_ref(*to).store(epoch, std::memory_order_release);
    }
  }

  /// For functions of the primitives: atomic with regard to this device's kernels.
  static std::uint32_t fetch_add(std::uint32_t* word, std::uint32_t value) {
    return std::atomic_ref(*word).fetch_add(value, std::memory_order_acq_rel);
  }
  static std::uint64_t fetch_min(std::uint64_t* word, std::uint64_t value) {
    std::atomic_ref atomic(*word);
    std::uint64_t seen = atomic.load();
    while (value < seen && !atomic.compare_exchange_weak(seen, value)) {
    }
    return seen;
  }

  /// Refuses to go on while lanes may not yet have seen each other's writes (a broken invariant).
  void refuse_dirty(const char* what) const {
    if (dirty_) fail_dirty(what);
  }

 private:
  [[noreturn]] static void fail_dirty(const char* what);
  bool wait_one(const Awaited& what, std::uint64_t epoch, WaitPhase phase) const;

  Place place_;
  Block block_;
  FaultSink faults_;
  bool dirty_ = false;
};

/// The warp's staging row: load once, store to as many places as wanted.
class RowPipe {
 public:
  RowPipe(std::byte* stage, std::uint32_t stage_bytes) : stage_(stage), bytes_(stage_bytes) {}

  void init(Warp& /*warp*/) {}
  std::byte* stage() const { return stage_; }
  std::uint32_t stage_bytes() const { return bytes_; }

  void load(Warp& warp, const std::byte* from, std::uint32_t bytes) {
    warp.refuse_dirty("load");
    std::memcpy(stage_, from, bytes);
  }
  void wait(Warp& /*warp*/) {}
  void publish(Warp& warp) { warp.sync(); }
  template <class F>
  void store_to(Warp& warp, int n, F to, std::uint32_t bytes, std::uint32_t first = 0) {
    warp.refuse_dirty("store_to");
    for (int i = 0; i < n; ++i) {
      if (std::byte* place = to(i)) std::memcpy(place, stage_ + first, bytes);
    }
  }
  void commit(Warp& warp) { warp.sync(); }
  void retire(Warp& warp) { warp.sync(); }

 private:
  std::byte* stage_;
  std::uint32_t bytes_;
};

}  // namespace llep::host
