// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <vector>

#include "transport/ipc/ipc_wire.hpp"

namespace llep {

/// Near peers by stores to their memory, far ones by another wire: each peer has its own. Its
/// transports are the hybrid ones and, with nobody near but the rank itself, the far wire alone.
///
/// A far wire moves what lies in its heap, or wherever else it says. Anything else is kept there
/// first, at `Staged::home`: a place that only this rank writes, and not before the second op after
/// this one. By then every peer has said that it has received this one's rows: see
/// kernels/begin.hpp.
template <class Far>
struct HybridWire {
  IpcWire near;  // no base: the peer is far
  Far far;
  bool has_far = true;  // false: all peers are near, and what looks for far ones is left out

  template <class Warp, class Pipe, class F>
  LLEP_DEVICE void put(Warp& warp, Pipe& pipe, int n, F to, const Staged& staged) const {
    near.put(warp, pipe, n, [&](int i) { return if_near(to(i)); }, staged);
    if (!has_far || !any(warp, n, [&](int i) { return if_far(to(i)); })) return;
    const bool in_place = staged.from != nullptr && far.can_send_from(staged.from, staged.bytes);
    std::byte* home = far.heap + staged.home;
    if (!in_place) {
      pipe.store_to(warp, 1, [&](int) { return home; }, staged.bytes, staged.first);
      pipe.commit(warp);
    }
    const std::byte* from = in_place ? staged.from : home;
    far.put(warp, n, [&](int i) { return if_far(to(i)); }, from, staged.bytes);
  }
  template <class Warp, class Pipe>
  LLEP_DEVICE void commit(Warp& warp, Pipe& pipe) const {
    near.commit(warp, pipe);
  }
  template <class Warp, class F>
  LLEP_DEVICE void signal(Warp& warp, int n, F to, std::uint64_t epoch) const {
    if (!has_far) return near.signal(warp, n, to, epoch);
    if (any(warp, n, [&](int i) { return if_near(to(i)); })) {
      near.signal(warp, n, [&](int i) { return if_near(to(i)); }, epoch);
    }
    for (int first = 0; first < n; first += kMaxLanes) {
      const int some = n - first < kMaxLanes ? n - first : kMaxLanes;
      far.signal(warp, some, [&](int i) { return if_far(to(first + i)); }, epoch);
    }
  }
  template <class Warp, class F>
  LLEP_DEVICE bool wait(Warp& warp, int n, F what, std::uint64_t epoch, WaitPhase phase) const {
    return near.wait(warp, n, what, epoch, phase);
  }
  /// The words' home is where they arrive from this rank itself, unless those for far peers lie
  /// elsewhere.
  template <class Warp, class Data, class F>
  LLEP_DEVICE void post(Warp& warp, int n, Data data, int num_peers, F to,
                        std::uint64_t epoch) const {
    if (!has_far) return near.post(warp, n, data, num_peers, to, epoch);
    const std::uint64_t home = to(0).offset;
    const bool apart = far.posted_heap() != near.bases[near.rank];
    warp.post(
        n, data, num_peers + (apart ? 1 : 0),
        [&](int p) {
          std::byte* words = p < num_peers ? near.address(if_near(to(p))) : far.posted_heap() + home;
          return reinterpret_cast<TaggedPair*>(words);
        },
        epoch);
    warp.sync();  // a far wire's lanes may read what other lanes posted
    for (int first = 0; first < num_peers; first += kMaxLanes) {
      const int some = num_peers - first < kMaxLanes ? num_peers - first : kMaxLanes;
      far.put_words(
          warp, some, [&](int i) { return if_far(to(first + i)); }, far.posted_heap() + home,
          static_cast<std::uint32_t>(n) * static_cast<std::uint32_t>(sizeof(TaggedPair)));
    }
  }
  LLEP_DEVICE std::byte* arrivals(int peer, std::uint64_t offset) const {
    return is_near(peer) ? near.arrivals(peer, offset) : far.heap + offset;
  }
  LLEP_DEVICE std::uint64_t* words(int peer, std::uint64_t offset) const {
    return is_near(peer) ? near.words(peer, offset)
                         : reinterpret_cast<std::uint64_t*>(far.word_heap() + offset);
  }
  template <class Warp>
  LLEP_DEVICE void flush(Warp& warp) const {
    if (has_far) far.flush(warp);
  }
  template <class Warp>
  LLEP_DEVICE void drain(Warp& warp) const {
    if (has_far) far.drain(warp);
  }

 private:
  LLEP_DEVICE bool is_near(int peer) const { return near.bases[peer] != nullptr; }
  LLEP_DEVICE Destination if_near(const Destination& to) const {
    return to.peer >= 0 && is_near(to.peer) ? to : Destination{};
  }
  LLEP_DEVICE Destination if_far(const Destination& to) const {
    return to.peer >= 0 && !is_near(to.peer) ? to : Destination{};
  }
  template <class Warp, class F>
  LLEP_DEVICE static bool any(Warp& warp, int n, F to) {
    return warp.bits(n, [&](int i) { return to(i).peer >= 0 ? 1U : 0U; }) != 0;
  }
};

/// near: [num_ranks] of peers.
inline bool has_far(const std::vector<bool>& near) {
  return std::find(near.begin(), near.end(), false) != near.end();
}

}  // namespace llep
