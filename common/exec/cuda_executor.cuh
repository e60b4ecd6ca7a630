// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "common/exec/fault.hpp"
#include "common/exec/model.hpp"
#include "common/exec/ptx.cuh"

/// The `cuda` executor: the members of host_executor.hpp, with real lanes.
namespace llep::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffU;

class Warp;

/// A value of `one_later`, held by the first lane.
template <class T>
struct Later {
  T value;
  __device__ __forceinline__ T get(Warp&) const { return __shfl_sync(kAllLanes, value, 0); }
};

template <class T>
class Lanes {
 public:
  Lanes() = default;
  __device__ __forceinline__ explicit Lanes(T value) : value_(value) {}
  __device__ __forceinline__ const T& operator[](int) const { return value_; }
  __device__ __forceinline__ T get(Warp&, int i) const {
    return __shfl_sync(kAllLanes, value_, i);
  }
  __device__ __forceinline__ void set(Warp& warp, int i, T value);

 private:
  T value_ = {};
};

class Warp {
 public:
  using Ints = Lanes<int>;

  __device__ __forceinline__ Warp(std::byte* shared, const FaultSink& faults)
      : shared_(shared), faults_(faults) {}

  __device__ __forceinline__ int lane() const { return static_cast<int>(threadIdx.x % 32); }
  __device__ __forceinline__ int index() const { return static_cast<int>(threadIdx.x / 32); }
  __device__ __forceinline__ int num_warps() const { return static_cast<int>(blockDim.x / 32); }
  __device__ __forceinline__ int block() const { return static_cast<int>(blockIdx.x); }
  __device__ __forceinline__ int num_blocks() const { return static_cast<int>(gridDim.x); }
  __device__ __forceinline__ std::byte* shared() const { return shared_; }
  __device__ __forceinline__ static std::uint64_t now_ns() { return ptx::global_timer_ns(); }

  __device__ __forceinline__ void sync() { __syncwarp(); }
  __device__ __forceinline__ void block_sync() { __syncthreads(); }
  __device__ __forceinline__ void team_sync(const Team& team) {
    ptx::barrier_sync(1, static_cast<std::uint32_t>(team.num_warps) * 32U);
  }

  __device__ __forceinline__ void refuse_dirty(const char* /*what*/) const {}  // the host's to do

  template <class F>
  __device__ __forceinline__ auto one_later(F f) {
    Later<std::invoke_result_t<F>> result{};
    if (lane() == 0) result.value = f();
    return result;
  }
  template <class F>
  __device__ __forceinline__ auto one(F f) {
    if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
      if (lane() == 0) f();
    } else {
      return one_later(f).get(*this);
    }
  }

  template <class F>
  __device__ __forceinline__ void for_each(int n, F f) {
#pragma unroll 1
    for (int i = lane(); i < n; i += 32) f(i);
  }
  template <class F>
  __device__ __forceinline__ void team_for_each(const Team& team, int n, F f) {
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x) - team.first * 32; i < n; i += team.num_warps * 32) {
      f(i);
    }
  }
  template <class F>
  __device__ __forceinline__ int sum(int n, F f) const {
    int total = 0;
#pragma unroll 1
    for (int i = lane(); i < n; i += 32) total += f(i);
    return __reduce_add_sync(kAllLanes, total);
  }
  template <int N, class F>
  __device__ __forceinline__ Sums<N> sums(int n, F f) const {
    Sums<N> totals;
#pragma unroll 1
    for (int i = lane(); i < n; i += 32) f(i, totals);
#pragma unroll
    for (int j = 0; j < N; ++j) totals.at[j] = __reduce_add_sync(kAllLanes, totals.at[j]);
    return totals;
  }
  template <class F>
  __device__ __forceinline__ std::uint32_t bits(int n, F f) const {
    std::uint32_t all = 0;
#pragma unroll 1
    for (int i = lane(); i < n; i += 32) all |= f(i);
    return __reduce_or_sync(kAllLanes, all);
  }
  template <class F>
  __device__ __forceinline__ auto lanes(int n, F f) {
    using T = std::invoke_result_t<F, int>;
    return Lanes<T>(lane() < n ? f(lane()) : T{});
  }

  template <class T>
  __device__ __forceinline__ Lanes<int> earlier_equal(const Lanes<T>& values) {
    const unsigned equal = __match_any_sync(kAllLanes, values[lane()]);
    return Lanes<int>(__popc(equal & ((1U << lane()) - 1U)));
  }

  /// See host_executor.hpp. The proxy fence lets bulk loads of this warp read the rows as well.
  template <class F>
  __device__ __forceinline__ bool wait_all(int n, F awaited, std::uint64_t epoch,
                                           WaitPhase phase) {
    bool ok = true;
#pragma unroll 1
    for (int i = lane(); i < n; i += 32) {
      const Awaited what = awaited(i);
      if (what.word != nullptr && !reached(ptx::load_acquire_sys(what.word), epoch)) {
        ok = wait_one(what, epoch, phase) && ok;
      }
    }
    ok = __all_sync(kAllLanes, ok);
    __syncwarp();  // a vote orders no memory
    ptx::fence_proxy_async();
    return ok;
  }

  /// Lanes hold the words, the first lane releases and stores: everything the warp wrote or
  /// committed before is ordered by the warp sync and the one fence (cumulativity).
  template <class F>
  __device__ __forceinline__ void signal(int n, F word, std::uint64_t epoch) {
    __syncwarp();
    if (lane() == 0) ptx::fence_acq_rel_sys();
#pragma unroll 1
    for (int first = 0; first < n; first += 32) {
      const int i = first + lane();
      std::uint64_t* mine = i < n ? word(i) : nullptr;
#pragma unroll 1
      for (unsigned left = __ballot_sync(kAllLanes, mine != nullptr); left != 0;
           left &= left - 1) {
        const auto to = __shfl_sync(kAllLanes, reinterpret_cast<std::uint64_t>(mine),
                                    __ffs(static_cast<int>(left)) - 1);
        if (lane() == 0) {
          ptx::store_relaxed_sys(reinterpret_cast<std::uint64_t*>(to), epoch);
        }
      }
    }
  }

  /// See host_executor.hpp. All data is loaded before the first store.
  template <class Data, class Target>
  __device__ __forceinline__ void post(int n, Data data, int num_targets, Target target,
                                       std::uint64_t epoch) {
    TaggedPair pairs[kMostPosted / 32];
#pragma unroll
    for (int j = 0; j < kMostPosted / 32; ++j) {
      const int i = j * 32 + lane();
      if (i >= n) continue;
      pairs[j] = data(i);
      for (std::uint64_t& word : pairs[j].word) {
        word = tagged(static_cast<std::uint32_t>(word), epoch);
      }
    }
#pragma unroll 1
    for (int p = 0; p < num_targets; ++p) {
      TaggedPair* to = target(p);
      if (to == nullptr) continue;
#pragma unroll
      for (int j = 0; j < kMostPosted / 32; ++j) {
        const int i = j * 32 + lane();
        if (i < n) ptx::store_relaxed_sys(to[i].word, pairs[j].word);
      }
    }
  }

  /// See host_executor.hpp. Loads of a round travel together. They are relaxed: the writer's store
  /// precedes them in observation order, a sync behind them in base causality order, so ordinary
  /// loads of the pairs see it as well (PTX ISA, "Causality order"). A fence here would wait for
  /// whatever this multiprocessor is sending.
  template <class Place, class What, class F>
  __device__ __forceinline__ void collect(const Team& team, int n, Place place, What what,
                                          std::uint64_t epoch, WaitPhase phase, F f) {
    constexpr int kInFlight = 4;
    const int stride = team.num_warps * 32;
#pragma unroll 1
    for (int first = static_cast<int>(threadIdx.x) - team.first * 32; first < n;
         first += kInFlight * stride) {
      TaggedPair pairs[kInFlight];
#pragma unroll
      for (int j = 0; j < kInFlight; ++j) {
        if (first + j * stride < n) {
          ptx::load_relaxed_sys(place(first + j * stride)->word, pairs[j].word);
        }
      }
#pragma unroll
      for (int j = 0; j < kInFlight; ++j) {
        const int i = first + j * stride;
        if (i >= n) continue;
        if (!has_tag(pairs[j].word[0], epoch) || !has_tag(pairs[j].word[1], epoch)) {
          Awaited awaited = what(i);
          awaited.word = place(i)->word;
          pairs[j] = wait_pair(awaited, epoch, phase);
        }
        f(i, pairs[j]);
      }
    }
  }
  /// Every lane fences for itself, after the sync that gathers what the others wrote: with a later
  /// relaxed store of any lane that is a release pattern (PTX ISA, "Release and Acquire Patterns").
  __device__ __forceinline__ void release() {
    __syncwarp();
    ptx::fence_acq_rel_sys();
  }
  /// See host_executor.hpp.
  template <class F>
  __device__ __forceinline__ bool wait_for(const Awaited& what, std::uint64_t value,
                                           WaitPhase phase, F look) const {
    bool ok = true;
    if (lane() == 0) {
      ok = poll(what, value, phase, [&](std::uint64_t& seen) {
        seen = look();
        return reached(seen, value);
      });
    }
    return __shfl_sync(kAllLanes, ok ? 1 : 0, 0) != 0;
  }

  /// See host_executor.hpp. All lanes go round together, what the first one decides they all do.
  template <class What, class F>
  __device__ __forceinline__ std::uint32_t wait_some(std::uint32_t lanes,
                                                     const Lanes<std::uint64_t>& values,
                                                     WaitPhase phase, What what, F look) {
    constexpr int kPollsPerLook = 16;
    const bool mine = (lanes >> lane() & 1U) != 0;
    const std::uint64_t value = values[lane()];
    std::uint64_t deadline = 0;
    std::uint64_t seen = 0;
#pragma unroll 1
    for (int polls = 1;; ++polls) {
      if (mine) seen = look(lane());
      const unsigned arrived = __ballot_sync(kAllLanes, mine && reached(seen, value));
      if (arrived != 0) return arrived;
      if (polls % kPollsPerLook != 0) continue;
      bool over = lane() == 0 && is_raised();
      const std::uint64_t now = ptx::global_timer_ns();
      if (deadline == 0) deadline = now + faults_.timeout_ns;
      const bool late = __shfl_sync(kAllLanes, now > deadline ? 1 : 0, 0) != 0;
      if (late && lane() == lowest_bit(lanes)) fail(what(lane()), value, phase, seen);
      over = __shfl_sync(kAllLanes, over || late ? 1 : 0, 0) != 0;
      if (over) return 0;
    }
  }

  static __device__ __forceinline__ std::uint64_t load_relaxed(const std::uint64_t* word) {
    return ptx::load_relaxed_sys(word);
  }
  static __device__ __forceinline__ void store_relaxed(std::uint64_t* word, std::uint64_t value) {
    ptx::store_relaxed_sys(word, value);
  }
  static __device__ __forceinline__ void store_record(std::uint32_t* word, std::uint32_t value) {
    ptx::store_relaxed_sys(word, value);
  }
  static __device__ __forceinline__ void store_doorbell(std::uint64_t* word, std::uint64_t value) {
    ptx::store_mmio_sys(word, value);
  }
  static __device__ __forceinline__ void fence_system() { ptx::fence_acq_rel_sys(); }
  static __device__ __forceinline__ std::uint64_t exchange_ordered(std::uint64_t* word,
                                                                   std::uint64_t value) {
    return ptx::exchange_acq_rel_gpu(word, value);
  }

  /// See host_executor.hpp.
  __device__ __noinline__ void fail(const Awaited& what, std::uint64_t expected, WaitPhase phase,
                                    std::uint64_t seen) const {
    if (atomicCAS(faults_.raised, 0U, 1U) != 0U) return;
    FaultRecord& record = *faults_.record;
    record.rank = faults_.rank;
    record.peer = what.peer;
    record.expert = what.expert;
    record.token = what.token;
    record.expected = expected;
    record.seen = seen;
    __threadfence_system();
    *const_cast<volatile WaitPhase*>(&record.phase) = phase;  // last: see read_fault()
  }

  static __device__ __forceinline__ void store_slot(std::uint64_t* to,
                                                    const std::uint64_t (&words)[4]) {
    ptx::store_relaxed_sys(to, {words[0], words[1]});
    ptx::store_relaxed_sys(to + 2, {words[2], words[3]});
  }
  static __device__ __forceinline__ std::uint64_t load_acquire(const std::uint64_t* word) {
    return ptx::load_acquire_sys(word);
  }

  /// Orders nothing: what these words decide is used after a sync, or by the next launch.
  static __device__ __forceinline__ std::uint64_t fetch_add(std::uint64_t* word,
                                                            std::uint64_t value) {
    return atomicAdd(reinterpret_cast<unsigned long long*>(word),
                     static_cast<unsigned long long>(value));
  }
  static __device__ __forceinline__ std::uint64_t exchange(std::uint64_t* word,
                                                           std::uint64_t value) {
    return atomicExch(reinterpret_cast<unsigned long long*>(word),
                      static_cast<unsigned long long>(value));
  }
  static __device__ __forceinline__ std::uint32_t fetch_add(std::uint32_t* word,
                                                            std::uint32_t value) {
    return atomicAdd(word, value);
  }
  static __device__ __forceinline__ std::uint64_t fetch_min(std::uint64_t* word,
                                                            std::uint64_t value) {
    return atomicMin(reinterpret_cast<unsigned long long*>(word),
                     static_cast<unsigned long long>(value));
  }
  static __device__ __forceinline__ std::uint64_t fetch_max(std::uint64_t* word,
                                                            std::uint64_t value) {
    return atomicMax(reinterpret_cast<unsigned long long*>(word),
                     static_cast<unsigned long long>(value));
  }
  static __device__ __forceinline__ void publish_max(std::uint64_t* word, std::uint64_t value) {
    __threadfence();
    fetch_max(word, value);
  }

 private:
  /// Polls until `arrived(seen)`, a wait elsewhere has failed, or the deadline has passed.
  template <class Arrived>
  __device__ __forceinline__ bool poll(const Awaited& what, std::uint64_t epoch, WaitPhase phase,
                                       Arrived arrived) const {
    constexpr int kPollsPerLook = 128;
    std::uint64_t deadline = 0;
    std::uint64_t seen = 0;
#pragma unroll 1
    for (int polls = 1;; ++polls) {
      if (arrived(seen)) return true;
      if (polls % kPollsPerLook != 0) continue;
      if (is_raised()) return false;
      const std::uint64_t now = ptx::global_timer_ns();
      if (deadline == 0) deadline = now + faults_.timeout_ns;
      if (now > deadline) {
        fail(what, epoch, phase, seen);
        return false;
      }
    }
  }
  __device__ __noinline__ bool wait_one(const Awaited what, std::uint64_t epoch,
                                        WaitPhase phase) const {
    return poll(what, epoch, phase, [&](std::uint64_t& seen) {
      seen = ptx::load_acquire_sys(what.word);
      return reached(seen, epoch);
    });
  }
  __device__ __noinline__ TaggedPair wait_pair(const Awaited what, std::uint64_t epoch,
                                               WaitPhase phase) const {
    TaggedPair pair;
    poll(what, epoch, phase, [&](std::uint64_t& seen) {
      ptx::load_relaxed_sys(what.word, pair.word);
      const bool first = has_tag(pair.word[0], epoch);
      seen = pair.word[first ? 1 : 0] >> 32;
      return first && has_tag(pair.word[1], epoch);
    });
    return pair;
  }
  __device__ __forceinline__ bool is_raised() const {
    return *const_cast<const volatile std::uint32_t*>(faults_.raised) != 0;
  }

  std::byte* shared_;
  const FaultSink& faults_;
};

template <class T>
__device__ __forceinline__ void Lanes<T>::set(Warp& warp, int i, T value) {
  if (warp.lane() == i) value_ = value;
}

/// The warp's stage in shared memory. From sm_90 on rows move by bulk copies; before, by 16-byte
/// loads and stores of all lanes.
class RowPipe {
 public:
  __device__ __forceinline__ RowPipe(std::byte* stage, std::uint32_t stage_bytes,
                                     std::uint64_t* barrier)
      : stage_(stage), barrier_(barrier), bytes_(stage_bytes) {}

  __device__ __forceinline__ std::byte* stage() const { return stage_; }
  __device__ __forceinline__ std::uint32_t stage_bytes() const { return bytes_; }

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  __device__ __forceinline__ void init(Warp& warp) {
    warp.one([&] {
      ptx::barrier_init(barrier_);
      ptx::fence_barrier_init();
    });
    warp.sync();
  }
  __device__ __forceinline__ void load(Warp& warp, const std::byte* from, std::uint32_t bytes) {
    warp.one([&] {
      ptx::barrier_expect(barrier_, bytes);
      ptx::bulk_load(stage_, from, bytes, barrier_);
    });
  }
  __device__ __forceinline__ void wait(Warp&) {
    while (!ptx::barrier_try_wait(barrier_, parity_)) {
    }
    parity_ ^= 1U;
  }
  /// What lanes wrote into the stage may be stored: each writing lane fences, then all sync.
  __device__ __forceinline__ void publish(Warp& warp) {
    ptx::fence_proxy_async();
    warp.sync();
  }
  template <class F>
  __device__ __forceinline__ void store_to(Warp& warp, int n, F to, std::uint32_t bytes,
                                           std::uint32_t first = 0) {
    warp.for_each(n, [&](int i) {
      if (std::byte* place = to(i)) ptx::bulk_store(place, stage_ + first, bytes);
    });
  }
  /// Every lane waits for the stores it issued: written, not only read.
  __device__ __forceinline__ void commit(Warp& warp) {
    ptx::bulk_commit_group();
    ptx::bulk_wait();
    warp.sync();
  }
  __device__ __forceinline__ void retire(Warp& warp) {
    ptx::bulk_commit_group();
    ptx::bulk_wait_read();
    warp.sync();
  }

 private:
  std::uint32_t parity_ = 0;
#else
  __device__ __forceinline__ void init(Warp&) {}
  __device__ __forceinline__ void load(Warp& warp, const std::byte* from, std::uint32_t bytes) {
    const auto* source = reinterpret_cast<const Vec16*>(from);
    warp.for_each(static_cast<int>(bytes / sizeof(Vec16)),
                  [&](int i) { reinterpret_cast<Vec16*>(stage_)[i] = source[i]; });
  }
  __device__ __forceinline__ void wait(Warp& warp) { warp.sync(); }
  __device__ __forceinline__ void publish(Warp& warp) { warp.sync(); }
  template <class F>
  __device__ __forceinline__ void store_to(Warp& warp, int n, F to, std::uint32_t bytes,
                                           std::uint32_t first = 0) {
    const auto* from = reinterpret_cast<const Vec16*>(stage_ + first);
#pragma unroll 1
    for (int base = 0; base < n; base += 32) {
      const int i = base + warp.lane();
      std::byte* mine = i < n ? to(i) : nullptr;
#pragma unroll 1
      for (unsigned left = __ballot_sync(kAllLanes, mine != nullptr); left != 0;
           left &= left - 1) {
        auto* place = reinterpret_cast<Vec16*>(
            __shfl_sync(kAllLanes, reinterpret_cast<std::uint64_t>(mine),
                        __ffs(static_cast<int>(left)) - 1));
        warp.for_each(static_cast<int>(bytes / sizeof(Vec16)),
                      [&](int v) { place[v] = from[v]; });
      }
    }
  }
  __device__ __forceinline__ void commit(Warp& warp) { warp.sync(); }
  __device__ __forceinline__ void retire(Warp& warp) { warp.sync(); }

 private:
#endif
  std::byte* stage_;
  std::uint64_t* barrier_;
  std::uint32_t bytes_;
};

}  // namespace llep::cuda
