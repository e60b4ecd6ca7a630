// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
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
    std::unique_lock lock(mutex_);
    const std::uint64_t phase = phase_;
    if (++arrived_ == count) {
      arrived_ = 0;
      ++phase_;
      passed_.notify_all();
    } else {
      passed_.wait(lock, [&] { return phase_ != phase; });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable passed_;
  int arrived_ = 0;
  std::uint64_t phase_ = 0;
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
  using Ints = Lanes<int>;

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
  static std::uint64_t now_ns() { return host::now_ns(); }

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
  /// N sums at once: f(i, sums) adds to sums.at.
  template <int N, class F>
  Sums<N> sums(int n, F f) const {
    Sums<N> totals;
    for (int i = 0; i < n; ++i) f(i, totals);
    return totals;
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

  template <class T>
  Lanes<int> earlier_equal(const Lanes<T>& values) {
    Lanes<int> counts;
    for (int i = 0; i < kMaxLanes; ++i) {
      int count = 0;
      for (int j = 0; j < i; ++j) count += values[j] == values[i] ? 1 : 0;
      counts.set(*this, i, count);
    }
    return counts;
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

  /// Writes pair i, data(i) tagged with the epoch, to pair i of every target(p), p < num_targets
  /// (nullptr: none).
  /// n <= kMostPosted. Whoever collects the pair has seen nothing else by it. Lanes of this warp
  /// see each other's pairs after a sync.
  template <class Data, class Target>
  void post(int n, Data data, int num_targets, Target target, std::uint64_t epoch) {
    refuse_dirty("post");
    dirty_ = n > 0;
    for (int i = 0; i < n; ++i) {
      const TaggedPair pair = data(i);
      for (int p = 0; p < num_targets; ++p) {
        TaggedPair* to = target(p);
        for (int w = 0; to != nullptr && w < 2; ++w) {
          std::atomic_ref(to[i].word[w])
              .store(tagged(static_cast<std::uint32_t>(pair.word[w]), epoch),
                     std::memory_order_release);
        }
      }
    }
  }

  /// Waits for the pairs place(i), i < n, shared out among the team, and calls f(i, pair) for each;
  /// what(i) is what to report. Like wait_all it gives up once a wait has failed; f is called then
  /// with what there is. Once the team has synced, its warps may read the pairs; nothing else may
  /// be read on the strength of it.
  template <class Place, class What, class F>
  void collect(const Team& team, int n, Place place, What what, std::uint64_t epoch,
               WaitPhase phase, F f) {
    team_for_each(team, n, [&](int i) {
      for (int w = 0; w < 2; ++w) {
        Awaited awaited = what(i);
        awaited.word = &place(i)->word[w];
        wait_tagged(awaited, epoch, phase);
      }
      f(i, *place(i));
    });
  }
  /// What this warp wrote or committed before is visible to whoever acts on a slot it stores later.
  void release() { sync(); }
  /// True once look(), which one lane calls over and over, has returned at least `value`; false like
  /// wait_all. What was written before the value looked at may be overwritten or read.
  template <class F>
  bool wait_for(const Awaited& what, std::uint64_t value, WaitPhase phase, F look) const {
    refuse_dirty("wait_for");
    return poll(what, value, phase, [&](std::uint64_t& seen) {
      seen = look();
      return reached(seen, value);
    });
  }

  /// Calls look(i) for the set bits i of `lanes`, over and over, until at least one has returned
  /// what its lane waits for, values[i]; returns the bits of those that have. 0 like wait_for's
  /// false; the record is that of what(i) of the lowest lane.
  template <class What, class F>
  std::uint32_t wait_some(std::uint32_t lanes, const Lanes<std::uint64_t>& values, WaitPhase phase,
                          What what, F look) {
    refuse_dirty("wait_some");
    const int lowest = lowest_bit(lanes);
    std::uint32_t arrived = 0;
    poll(what(lowest), values[lowest], phase, [&](std::uint64_t& seen) {
      for (int i = kMaxLanes - 1; i >= lowest; --i) {
        if ((lanes >> i & 1U) == 0) continue;
        seen = look(i);
        if (reached(seen, values[i])) arrived |= 1U << i;
      }
      return arrived != 0;
    });
    return arrived;
  }

  /// For functions of the primitives: the first failure of the device leaves its record, and every
  /// wait gives up.
  void fail(const Awaited& what, std::uint64_t expected, WaitPhase phase, std::uint64_t seen) const;

  /// For functions of the primitives: words that adapters and other lanes read and write. A load is
  /// ordered before what follows the next fence_system(), a store behind what came before the last
  /// one or the last release().
  static std::uint64_t load_relaxed(const std::uint64_t* word) { return load_acquire(word); }
  static void store_relaxed(std::uint64_t* word, std::uint64_t value) {
    std::atomic_ref(*word).store(value, std::memory_order_release);
  }
  static void store_record(std::uint32_t* word, std::uint32_t value) {
    std::atomic_ref(*word).store(value, std::memory_order_release);
  }
  static void store_doorbell(std::uint64_t* word, std::uint64_t value) {
    std::atomic_ref(*word).store(value, std::memory_order_release);
  }
  static void fence_system() {}  // the loads and stores above order as much
  /// Sees what the lane had seen that exchanged last.
  static std::uint64_t exchange_ordered(std::uint64_t* word, std::uint64_t value) {
    return exchange(word, value);
  }

  /// For functions of the primitives: four words that each say for themselves whether they are valid
  /// (see release()), and a word that somebody else writes.
  static void store_slot(std::uint64_t* to, const std::uint64_t (&words)[4]) {
    for (int i = 3; i >= 0; --i) std::atomic_ref(to[i]).store(words[i], std::memory_order_release);
  }
  static std::uint64_t load_acquire(const std::uint64_t* word) {
    return std::atomic_ref(const_cast<std::uint64_t&>(*word)).load(std::memory_order_acquire);
  }

  /// For functions of the primitives: atomic with regard to this device's kernels.
  static std::uint64_t fetch_add(std::uint64_t* word, std::uint64_t value) {
    return std::atomic_ref(*word).fetch_add(value, std::memory_order_acq_rel);
  }
  static std::uint64_t exchange(std::uint64_t* word, std::uint64_t value) {
    return std::atomic_ref(*word).exchange(value, std::memory_order_acq_rel);
  }
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

  static std::uint64_t fetch_max(std::uint64_t* word, std::uint64_t value) {
    std::atomic_ref atomic(*word);
    std::uint64_t seen = atomic.load();
    while (value > seen && !atomic.compare_exchange_weak(seen, value)) {
    }
    return seen;
  }
  /// fetch_max that hands on what its caller has acquired.
  static void publish_max(std::uint64_t* word, std::uint64_t value) { fetch_max(word, value); }

  /// Refuses to go on while lanes may not yet have seen each other's writes (a broken invariant).
  void refuse_dirty(const char* what) const {
    if (dirty_) fail_dirty(what);
  }

 private:
  [[noreturn]] static void fail_dirty(const char* what);
  /// Calls arrived(seen) until it is true, a wait elsewhere has failed, or the deadline has passed.
  bool poll(const Awaited& what, std::uint64_t epoch, WaitPhase phase,
            const std::function<bool(std::uint64_t& seen)>& arrived) const;
  bool wait_one(const Awaited& what, std::uint64_t epoch, WaitPhase phase) const;
  /// The epoch is the word's tag.
  bool wait_tagged(const Awaited& what, std::uint64_t epoch, WaitPhase phase) const;

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
