// SPDX-License-Identifier: MIT
#pragma once

#include "kernels/arguments.hpp"
#include "kernels/routing_words.hpp"
#include "transport/wire.hpp"

/// Dispatch, receive half: from all routings every block derives where rows go, by itself.
namespace llep::dispatch {

/// A rank's experts.
struct LocalExperts {
  int first;
  int num;

  constexpr static LocalExperts of(const EpLayout& layout, int rank) {
    const int num = layout.local_experts.value();
    return {.first = rank * num, .num = num};
  }
  /// The rank's number for a global expert; -1: another rank's, or none.
  constexpr int index_of(int expert) const {
    const int local = expert - first;
    return expert >= 0 && local >= 0 && local < num ? local : -1;
  }
};

/// Shared memory of a block in the receive half, behind OpStart.
///   first [num_ranks][L]  rows of expert e before source s; before the prefix: rows from s
///   count [L]             rows of expert e
///   rows  [num_ranks]     rows from source s
struct Placement {
  std::uint32_t* first;
  std::uint32_t* count;
  std::uint32_t* rows;

  constexpr static std::uint32_t bytes(const MoeShape& shape) {
    return static_cast<std::uint32_t>(shape.num_experts + shape.num_local_experts() +
                                      shape.num_ranks) *
           static_cast<std::uint32_t>(sizeof(std::uint32_t));
  }
  template <class Warp>
  LLEP_DEVICE static Placement in(Warp& warp, const EpLayout& layout) {
    auto* words = reinterpret_cast<std::uint32_t*>(warp.shared() + sizeof(OpStart));
    return {.first = words,
            .count = words + layout.shape.num_experts,
            .rows = words + layout.shape.num_experts + layout.local_experts.value()};
  }
};

/// The routing that a source sent: [routing_pairs].
template <class W>
LLEP_DEVICE const TaggedPair* routing_from(const W& wire, const EpLayout& layout, int parity,
                                           int source) {
  return reinterpret_cast<const TaggedPair*>(
      wire.words(source, layout.routing_of(parity, source)));
}

/// Waits for the routing of every source and counts its rows per local expert. After a failed wait
/// the block goes on to its end: entries are range-checked, places clamped.
template <class Warp, class W>
LLEP_DEVICE void count_rows(Warp& warp, const Team& team, const W& wire,
                            const DispatchArgs& args, std::uint64_t epoch,
                            const Placement& placement) {
  const EpLayout& layout = args.layout;
  const MoeShape& shape = layout.shape;
  const auto own = LocalExperts::of(layout, args.rank);
  const Divisor& pairs = layout.pairs;
  const int num_entries = shape.max_tokens * shape.num_topk;  // of one source
  const int parity = static_cast<int>(epoch & 1);
  warp.team_for_each(team, shape.num_experts, [&](int i) { placement.first[i] = 0; });
  warp.team_sync(team);
  warp.collect(
      team, shape.num_ranks * pairs.value(),
      [&](int i) {
        return routing_from(wire, layout, parity, pairs.quotient(i)) + pairs.remainder(i);
      },
      [&](int i) { return Awaited{.peer = pairs.quotient(i)}; }, epoch, WaitPhase::kDispatchRouting,
      [&](int i, const TaggedPair& pair) {
        std::uint32_t* rows = placement.first + pairs.quotient(i) * own.num;
        for (int j = 0; j < kPairEntries; ++j) {
          if (pairs.remainder(i) * kPairEntries + j >= num_entries) continue;  // padding
          const int expert = entry_of(pair, j);
          const int local = own.index_of(expert);
          if (local >= 0) Warp::fetch_add(&rows[local], 1U);
        }
      });
  warp.team_sync(team);
}

/// Turns counts into places.
template <class Warp>
LLEP_DEVICE void place_rows(Warp& warp, const Team& team, const EpLayout& layout,
                            const Placement& placement) {
  const int num_ranks = layout.shape.num_ranks;
  const int num_local = layout.local_experts.value();
  for (int source = warp.index() - team.first; source < num_ranks;
       source += team.num_warps) {
    const int rows = warp.sum(num_local, [&](int e) {
      return static_cast<int>(placement.first[source * num_local + e]);
    });
    warp.one([&] { placement.rows[source] = static_cast<std::uint32_t>(rows); });
  }
  warp.team_sync(team);
  warp.team_for_each(team, num_local, [&](int e) {
    std::uint32_t before = 0;
    for (int source = 0; source < num_ranks; ++source) {
      const std::uint32_t rows = placement.first[source * num_local + e];
      placement.first[source * num_local + e] = before;
      before += rows;
    }
    placement.count[e] = before;
  });
  warp.team_sync(team);
}

/// Book entries before those of one source.
template <class Warp>
LLEP_DEVICE int entries_before(Warp& warp, const Placement& placement, int source) {
  return warp.sum(source, [&](int s) { return static_cast<int>(placement.rows[s]); });
}

/// Counts, ranges and the books' boundaries: the part of the outputs that the routing alone gives.
template <class Warp>
LLEP_DEVICE void write_counts(Warp& warp, const Team& team, const DispatchArgs& args,
                              const Placement& placement) {
  const MoeShape& shape = args.layout.shape;
  const int num_local = args.layout.local_experts.value();
  const int stride = warp.num_blocks() * team.num_warps;
  // From the other end than rows are received: the first row's warp has enough to do.
  const int first = stride - (warp.index() - team.first + 1) * warp.num_blocks() + warp.block();
  for (int e = first; e < num_local; e += stride) {
    warp.one([&] {
      args.out.packed_recv_count[e] = static_cast<std::int32_t>(placement.count[e]);
    });
    warp.for_each(shape.num_ranks, [&](int source) {
      const std::uint32_t begin = placement.first[source * num_local + e];
      const std::uint32_t end = source + 1 < shape.num_ranks
                                    ? placement.first[(source + 1) * num_local + e]
                                    : placement.count[e];
      args.out.layout_range[e * shape.num_ranks + source] =
          static_cast<std::int64_t>(static_cast<std::uint64_t>(begin) << 32 | (end - begin));
    });
    warp.sync();
  }
  for (int source = first; source <= shape.num_ranks; source += stride) {
    const int before = entries_before(warp, placement, source);
    warp.one([&] { args.books.first_entry[source] = before; });
  }
}

}  // namespace llep::dispatch
