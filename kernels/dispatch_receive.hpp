// SPDX-License-Identifier: MIT
#pragma once

#include <bit>

#include "kernels/dispatch_placement.hpp"

/// Dispatch, receive half: arrived rows to their packed places.
namespace llep::dispatch {

/// One copy of a source's token.
template <class Warp>
struct Arrival {
  int source;
  int token;
  int copy;                     // which of the token's copies here
  const TaggedPair* routing;    // of the source
  std::uint32_t local;          // bit k: selection k is this rank's
  std::uint32_t mine;           // bit k: selection k is served by this copy; 0: there is none
  typename Warp::Ints experts;  // local expert of selection k; -1: another rank's
  typename Warp::Ints rows;     // packed row of selection k, for the bits of `mine`
};

/// Bit k of the result: `local` has bit k set and it is the `copy`-th of its bits.
LLEP_DEVICE std::uint32_t nth_bit(std::uint32_t local, int copy) {
  for (; copy > 0; --copy) local &= local - 1;
  return local & (~local + 1);
}

template <class Warp, class W>
LLEP_DEVICE Arrival<Warp> read_arrival(Warp& warp, const W& wire, const DispatchArgs& args,
                                       int parity, int unit) {
  const EpLayout& layout = args.layout;
  const MoeShape& shape = layout.shape;
  const int sent = layout.slots.quotient(unit);  // (source, token), other ranks' first
  const int distance = layout.tokens.quotient(sent);
  Arrival<Warp> arrival{.source = shape.rank_after(args.rank, distance),
                        .token = layout.tokens.remainder(sent),
                        .copy = layout.slots.remainder(unit)};
  arrival.routing = routing_from(wire, layout, parity, arrival.source);
  const int first = arrival.token * shape.num_topk;
  const auto own = LocalExperts::of(args.layout, args.rank);
  arrival.experts = warp.lanes(shape.num_topk, [&](int k) {
    const int entry = first + k;
    return own.index_of(
        entry_of(arrival.routing[entry / kPairEntries], entry % kPairEntries));
  });
  arrival.local = warp.bits(
      shape.num_topk, [&](int k) { return arrival.experts[k] >= 0 ? 1U << k : 0U; });
  arrival.mine =
      layout.slots_per_token() == 1 ? arrival.local : nth_bit(arrival.local, arrival.copy);
  return arrival;
}

/// Derives the packed rows of the arrival's selections from the entries of its source's earlier
/// tokens; returns how many of those are this rank's.
template <class Warp>
LLEP_DEVICE int derive_rows(Warp& warp, const DispatchArgs& args, const Placement& placement,
                            Arrival<Warp>& arrival) {
  constexpr int kAtOnce = 4;  // selections in one pass over the entries
  const MoeShape& shape = args.layout.shape;
  const auto capacity = static_cast<int>(shape.capacity());
  const int num_entries = arrival.token * shape.num_topk;
  const auto own = LocalExperts::of(args.layout, args.rank);
  const std::uint32_t* first = placement.first + arrival.source * own.num;
  const auto earlier_of_token = warp.earlier_equal(arrival.experts);
  int num_local_entries = 0;
  for (std::uint32_t left = arrival.mine; left != 0;) {
    int ks[kAtOnce];
    int experts[kAtOnce];
    for (int s = 0; s < kAtOnce; ++s) {
      ks[s] = left != 0 ? lowest_bit(left) : -1;
      experts[s] = left != 0 ? arrival.experts.get(warp, ks[s]) : -2;  // equal to no entry
      left &= left - 1;
    }
    const auto found = warp.template sums<kAtOnce + 1>(
        divide_up(num_entries, kPairEntries), [&](int i, Sums<kAtOnce + 1>& sums) {
          const TaggedPair entries = arrival.routing[i];
          for (int j = 0; j < kPairEntries; ++j) {
            if (i * kPairEntries + j >= num_entries) continue;
            const int expert = own.index_of(entry_of(entries, j));
            for (int s = 0; s < kAtOnce; ++s) sums.at[s] += expert == experts[s] ? 1 : 0;
            sums.at[kAtOnce] += expert >= 0 ? 1 : 0;
          }
        });
    num_local_entries = found.at[kAtOnce];
    for (int s = 0; s < kAtOnce; ++s) {
      if (ks[s] < 0) continue;
      const int place = static_cast<int>(first[experts[s]]) + found.at[s] +
                        earlier_of_token.get(warp, ks[s]);
      // A damaged routing may name one expert too often: its rows stay within the expert's.
      arrival.rows.set(warp, ks[s],
                       experts[s] * capacity + (place < capacity ? place : capacity - 1));
    }
  }
  return num_local_entries;
}

/// Writes the books' and src_info's entries of one arrival.
template <class Warp>
LLEP_DEVICE void keep_books(Warp& warp, const DispatchArgs& args, const Arrival<Warp>& arrival,
                            int first_entry) {
  warp.for_each(args.layout.shape.num_topk, [&](int k) {
    if ((arrival.mine >> k & 1U) == 0) return;
    const std::uint32_t earlier = arrival.local & ((1U << k) - 1);
    const int entry = first_entry + std::popcount(earlier);
    args.books.entries[entry] = BookEntry{.packed_row = arrival.rows[k],
                                          .source = arrival.source,
                                          .token = arrival.token,
                                          .k = k};
    args.out.src_info[arrival.rows[k]] = arrival.token;
  });
  warp.sync();
}

/// Transposes a staged row's scales into the packed outputs of each of its rows.
template <class Warp>
LLEP_DEVICE void store_scales(Warp& warp, const DispatchArgs& args, const Arrival<Warp>& arrival,
                              const std::byte* staged) {
  const EpLayout& layout = args.layout;
  const auto capacity = static_cast<int>(layout.shape.capacity());
  const int num_scales = layout.shape.num_scales();
  const Divisor& groups = layout.part_groups;
  for (std::uint32_t left = arrival.mine; left != 0; left &= left - 1) {
    const int row = arrival.rows.get(warp, lowest_bit(left));
    float* to = args.out.packed_recv_scales +
                static_cast<std::size_t>(layout.capacity.quotient(row) * num_scales) *
                    static_cast<std::size_t>(capacity) +
                layout.capacity.remainder(row);
    warp.for_each(num_scales, [&](int g) {
      const auto* of_part = reinterpret_cast<const float*>(
          staged + static_cast<std::uint32_t>(groups.quotient(g)) * layout.part_scale_bytes);
      to[static_cast<std::size_t>(g) * static_cast<std::size_t>(capacity)] =
          of_part[groups.remainder(g)];
    });
  }
  warp.sync();
}

/// Copies an arrived row from the window to its packed rows, whole if the stage holds it.
template <DispatchDtype kDtype, class Warp, class Pipe>
LLEP_DEVICE void expand_row(Warp& warp, Pipe& pipe, const std::byte* window,
                            const DispatchArgs& args, const Arrival<Warp>& arrival) {
  const EpLayout& layout = args.layout;
  const std::uint32_t row_bytes = layout.row_bytes();
  const std::uint32_t window_bytes = layout.window_stride();
  for (std::uint32_t first = 0; first < window_bytes; first += pipe.stage_bytes()) {
    const std::uint32_t left = window_bytes - first;
    const std::uint32_t bytes = left < pipe.stage_bytes() ? left : pipe.stage_bytes();
    pipe.load(warp, window + first, bytes);
    pipe.wait(warp);
    const std::uint32_t of_row = row_bytes - first < bytes ? row_bytes - first : bytes;
    pipe.store_to(
        warp, layout.shape.num_topk,
        [&](int k) -> std::byte* {
          if ((arrival.mine >> k & 1U) == 0) return nullptr;
          return args.out.packed_recv_x + static_cast<std::size_t>(arrival.rows[k]) * row_bytes +
                 first;
        },
        of_row);
    if constexpr (kDtype == DispatchDtype::kFp8) {
      store_scales(warp, args, arrival, pipe.stage() + row_bytes);
    }
    pipe.retire(warp);
  }
}

template <class Warp, class W>
LLEP_DEVICE bool wait_for_row(Warp& warp, const W& wire, const DispatchArgs& args,
                              std::uint64_t epoch, const CopyPlace& place, int expert) {
  return wire.wait(
      warp, args.layout.num_parts(),
      [&](int part) {
        return Awaited{.word = wire.words(place.source, args.layout.dispatch_word(place, part)),
                       .peer = place.source,
                       .expert = expert,
                       .token = place.token};
      },
      epoch, WaitPhase::kDispatchRow);
}

/// One copy of one source token, if the token has so many here.
template <DispatchDtype kDtype, class Warp, class Pipe, class W>
LLEP_DEVICE void receive_row(Warp& warp, Pipe& pipe, const W& wire, const DispatchArgs& args,
                             std::uint64_t epoch, const Placement& placement, int unit) {
  const EpLayout& layout = args.layout;
  const int parity = static_cast<int>(epoch & 1);
  Arrival<Warp> arrival = read_arrival(warp, wire, args, parity, unit);
  if (arrival.mine == 0) return;
  const int earlier = derive_rows(warp, args, placement, arrival);
  keep_books(warp, args, arrival, entries_before(warp, placement, arrival.source) + earlier);

  const CopyPlace place{.parity = parity,
                        .source = arrival.source,
                        .token = arrival.token,
                        .copy = arrival.copy};
  const int expert = args.rank * layout.local_experts.value() +
                     arrival.experts.get(warp, lowest_bit(arrival.mine));
  if (wait_for_row(warp, wire, args, epoch, place, expert)) {
    expand_row<kDtype>(warp, pipe, wire.arrivals(place.source, layout.dispatch_row(place)), args,
                       arrival);
  }
}

template <DispatchDtype kDtype, class Warp, class Pipe, class W>
LLEP_DEVICE void receive(Warp& warp, Pipe& pipe, const Team& team, const W& wire,
                         const DispatchArgs& args, std::uint64_t epoch) {
  const EpLayout& layout = args.layout;
  const Placement placement = Placement::in(warp, layout);
  count_rows(warp, team, wire, args, epoch, placement);
  place_rows(warp, team, layout, placement);
  write_counts(warp, team, args, placement);
  const int units = static_cast<int>(layout.shape.capacity()) * layout.slots_per_token();
  const int stride = warp.num_blocks() * team.num_warps;
  // Senders of few tokens are the first blocks: the last blocks receive first.
  for (int unit = (warp.index() - team.first + 1) * warp.num_blocks() - 1 - warp.block();
       unit < units; unit += stride) {
    receive_row<kDtype>(warp, pipe, wire, args, epoch, placement, unit);
  }
}

}  // namespace llep::dispatch
