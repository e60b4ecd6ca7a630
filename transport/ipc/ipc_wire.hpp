// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "common/annotations.hpp"
#include "transport/wire.hpp"

namespace llep {

/// Ranks that a wire can reach: the GPUs of the largest NVLink domain share memory.
inline constexpr int kMaxRanks = 72;

/// Stores to peers' memory mapped into this rank: CUDA IPC on GPUs, shared memory on the host.
///
/// Why the contract holds: `commit` returns when the warp's copies have been written (each issuing
/// lane waits for its own bulk groups, then the warp syncs), `signal` is one release at system
/// scope followed by plain stores, `wait` an acquire at system scope, a warp sync and a proxy
/// fence. All peers and channels are ordered alike, so the channel is not looked at.
struct IpcWire {
  std::byte* bases[kMaxRanks] = {};
  int rank = 0;

  template <class Warp, class Pipe, class F>
  LLEP_DEVICE void put(Warp& warp, Pipe& pipe, int n, F to, const Staged& staged) const {
    pipe.store_to(warp, n, [&](int i) { return address(to(i)); }, staged.bytes, staged.first);
  }
  template <class Warp, class Pipe>
  LLEP_DEVICE void commit(Warp& warp, Pipe& pipe) const {
    pipe.commit(warp);
  }
  template <class Warp, class F>
  LLEP_DEVICE void signal(Warp& warp, int n, F to, std::uint64_t epoch) const {
    warp.signal(
        n, [&](int i) { return reinterpret_cast<std::uint64_t*>(address(to(i))); }, epoch);
  }
  template <class Warp, class F>
  LLEP_DEVICE bool wait(Warp& warp, int n, F what, std::uint64_t epoch, WaitPhase phase) const {
    return warp.wait_all(n, what, epoch, phase);
  }
  template <class Warp, class Data, class F>
  LLEP_DEVICE void post(Warp& warp, int n, Data data, int num_peers, F to,
                        std::uint64_t epoch) const {
    warp.post(
        n, data, num_peers,
        [&](int p) { return reinterpret_cast<TaggedPair*>(address(to(p))); }, epoch);
    warp.sync();
  }
  LLEP_DEVICE std::byte* arrivals(int /*peer*/, std::uint64_t offset) const {
    return bases[rank] + offset;
  }
  LLEP_DEVICE std::uint64_t* words(int peer, std::uint64_t offset) const {
    return reinterpret_cast<std::uint64_t*>(arrivals(peer, offset));
  }
  template <class Warp>
  LLEP_DEVICE void flush(Warp& /*warp*/) const {}
  template <class Warp>
  LLEP_DEVICE void drain(Warp& /*warp*/) const {}
  LLEP_DEVICE std::byte* address(const Destination& to) const {
    return to.peer < 0 ? nullptr : bases[to.peer] + to.offset;
  }
};

}  // namespace llep
