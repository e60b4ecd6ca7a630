// SPDX-License-Identifier: MIT
#pragma once

#include <bit>

#include "kernels/arguments.hpp"
#include "kernels/begin.hpp"

/// Dispatch: every token's row to the ranks that own its experts.
///
///   send half     the routing and the begin to every rank, then each token's row to its ranks
///   receive half  wait for all routings, derive each row's place, copy arrived rows there
namespace llep::dispatch {

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
  LLEP_DEVICE static Placement in(Warp& warp, const MoeShape& shape) {
    auto* words = reinterpret_cast<std::uint32_t*>(warp.shared() + sizeof(OpStart));
    return {.first = words,
            .count = words + shape.num_experts,
            .rows = words + shape.num_experts + shape.num_local_experts()};
  }
};

/// A routing entry is an int16 expert, two to a tagged word.
LLEP_DEVICE int entry_of(const TaggedPair& pair, int i) {
  return static_cast<std::int16_t>(pair.word[i / 2] >> (i % 2 * 16));
}
inline constexpr int kPairEntries = 4;

// --- send half -----------------------------------------------------------------------------------

/// Items of routing: what one warp posts at once.
constexpr int routing_items(const EpLayout& layout) {
  return divide_up(static_cast<int>(layout.routing_pairs), kMostPosted);
}

/// A piece of the routing to everybody, this rank included. It goes first, and before rows fill the
/// links.
template <class Warp, class W>
LLEP_DEVICE void send_routing(Warp& warp, const W& wire, const DispatchArgs& args,
                              std::uint64_t epoch, int item) {
  const EpLayout& layout = args.layout;
  const MoeShape& shape = layout.shape;
  const int first = item * kMostPosted;
  const int left = static_cast<int>(layout.routing_pairs) - first;
  const int num_routed = args.in.num_tokens * shape.num_topk;
  wire.post(
      warp, left < kMostPosted ? left : kMostPosted,
      [&](int i) {
        TaggedPair pair;
        for (int j = 0; j < kPairEntries; ++j) {
          const int at = (first + i) * kPairEntries + j;
          const std::int64_t expert = at < num_routed ? args.in.topk_idx[at] : -1;
          const bool routed = expert >= 0 && expert < shape.num_experts;
          const auto entry = static_cast<std::uint16_t>(routed ? expert : -1);
          pair.word[j / 2] |= static_cast<std::uint64_t>(entry) << (j % 2 * 16);
        }
        return pair;
      },
      shape.num_ranks,
      [&](int p) {
        return Destination{
            .peer = (args.rank + 1 + p) % shape.num_ranks,
            .offset = layout.routing_of(static_cast<int>(epoch & 1), args.rank) +
                      static_cast<std::uint64_t>(first) * sizeof(TaggedPair)};
      },
      epoch);
}

/// One part of a token's row to everybody who needs the token; then its signals. A selection whose
/// row goes with another selection's copy has no destination.
template <DispatchDtype kDtype, class Warp, class Pipe, class W>
LLEP_DEVICE void send_part(Warp& warp, Pipe& pipe, const W& wire, const DispatchArgs& args,
                           std::uint64_t epoch, int token, int part) {
  const EpLayout& layout = args.layout;
  const int num_topk = layout.shape.num_topk;
  const int columns = layout.part_columns();
  const Bf16* from = args.in.x +
                     static_cast<std::size_t>(token) *
                         static_cast<std::size_t>(layout.shape.hidden) +
                     part * columns;
  if constexpr (kDtype == DispatchDtype::kBf16) {
    pipe.load(warp, reinterpret_cast<const std::byte*>(from), layout.part_bytes);
  }
  const int num_local = layout.shape.num_local_experts();
  const std::int64_t* selected = args.in.topk_idx + token * num_topk;
  const auto owners = warp.lanes(num_topk, [&](int k) {
    const std::int64_t expert = selected[k];
    const bool routed = expert >= 0 && expert < layout.shape.num_experts;
    return routed ? static_cast<int>(expert) / num_local : -1;
  });
  const auto copies = warp.earlier_equal(owners);
  const auto peer = [&](int k) { return copies[k] < layout.slots_per_token ? owners[k] : -1; };
  const auto place = [&](int k) {
    return CopyPlace{.parity = static_cast<int>(epoch & 1),
                     .source = args.rank,
                     .token = token,
                     .copy = copies[k]};
  };
  if constexpr (kDtype == DispatchDtype::kBf16) {
    pipe.wait(warp);
  } else {
    quantize(warp, pipe.stage(), from, columns);
    pipe.publish(warp);
    wire.put(
        warp, pipe, num_topk,
        [&](int k) {
          return Destination{.peer = peer(k), .offset = layout.dispatch_scales(place(k), part)};
        },
        Staged{.first = layout.part_bytes, .bytes = layout.part_scale_bytes});
  }
  wire.put(
      warp, pipe, num_topk,
      [&](int k) {
        return Destination{.peer = peer(k), .offset = layout.dispatch_part(place(k), part)};
      },
      Staged{.bytes = layout.part_bytes});
  wire.commit(warp, pipe);
  if (token == args.dropped_token) return;
  wire.signal(
      warp, num_topk,
      [&](int k) {
        return Destination{.peer = peer(k), .offset = layout.dispatch_word(place(k), part)};
      },
      epoch);
}

// --- receive half --------------------------------------------------------------------------------

/// Waits for the routing of every source and counts its rows per local expert. After a failed wait
/// the block goes on to its end: entries are range-checked, places clamped.
template <class Warp, class W>
LLEP_DEVICE void count_rows(Warp& warp, const Team& team, const W& wire,
                            const DispatchArgs& args, std::uint64_t epoch,
                            const Placement& placement) {
  const EpLayout& layout = args.layout;
  const MoeShape& shape = layout.shape;
  const int num_local = shape.num_local_experts();
  const auto pairs = static_cast<int>(layout.routing_pairs);
  const auto* routing = reinterpret_cast<const TaggedPair*>(
      wire.local(layout.routing_of(static_cast<int>(epoch & 1), 0)));
  warp.team_for_each(team, shape.num_experts, [&](int i) { placement.first[i] = 0; });
  warp.team_sync(team);
  warp.collect(
      team, shape.num_ranks * pairs, [&](int i) { return routing + i; },
      [&](int i) { return Awaited{.peer = i / pairs}; }, epoch, WaitPhase::kDispatchRouting,
      [&](int i, const TaggedPair& pair) {
        std::uint32_t* rows = placement.first + i / pairs * num_local;
        for (int j = 0; j < kPairEntries; ++j) {
          const int expert = entry_of(pair, j);
          const int local = expert - args.rank * num_local;
          if (expert >= 0 && local >= 0 && local < num_local) Warp::fetch_add(&rows[local], 1U);
        }
      });
  warp.team_sync(team);
}

/// Turns counts into places.
template <class Warp>
LLEP_DEVICE void place_rows(Warp& warp, const Team& team, const MoeShape& shape,
                            const Placement& placement) {
  const int num_local = shape.num_local_experts();
  for (int source = warp.index() - team.first; source < shape.num_ranks;
       source += team.num_warps) {
    const int rows = warp.sum(num_local, [&](int e) {
      return static_cast<int>(placement.first[source * num_local + e]);
    });
    warp.one([&] { placement.rows[source] = static_cast<std::uint32_t>(rows); });
  }
  warp.team_sync(team);
  warp.team_for_each(team, num_local, [&](int e) {
    std::uint32_t before = 0;
    for (int source = 0; source < shape.num_ranks; ++source) {
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
  const int num_local = shape.num_local_experts();
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

/// A source token with selections for this rank, and the places of its rows.
template <class Rows>
struct Arrival {
  int source;
  int token;
  int copy;             // which of the token's copies here
  std::uint32_t mine;   // bit k: selection k is served by this copy
  std::uint32_t local;  // bit k: selection k is this rank's
  Rows rows;            // packed row of selection k, for the bits of `mine`
};

/// Writes the books' and src_info's entries of one arrival.
template <class Warp, class Rows>
LLEP_DEVICE void keep_books(Warp& warp, const DispatchArgs& args, const Arrival<Rows>& arrival,
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
template <class Warp, class Rows>
LLEP_DEVICE void store_scales(Warp& warp, const DispatchArgs& args, const Arrival<Rows>& arrival,
                              const std::byte* staged) {
  const EpLayout& layout = args.layout;
  const auto capacity = static_cast<int>(layout.shape.capacity());
  const int num_scales = layout.shape.num_scales();
  const int groups = layout.part_columns() / kScaleGroup;
  for (std::uint32_t left = arrival.mine; left != 0; left &= left - 1) {
    const int row = arrival.rows.get(warp, lowest_bit(left));
    float* to = args.out.packed_recv_scales +
                static_cast<std::size_t>(row / capacity * num_scales) *
                    static_cast<std::size_t>(capacity) +
                row % capacity;
    warp.for_each(num_scales, [&](int g) {
      const auto* of_part = reinterpret_cast<const float*>(
          staged + static_cast<std::uint32_t>(g / groups) * layout.part_scale_bytes);
      to[static_cast<std::size_t>(g) * static_cast<std::size_t>(capacity)] = of_part[g % groups];
    });
  }
  warp.sync();
}

/// Copies an arrived row from the window to its packed rows, whole if the stage holds it.
template <DispatchDtype kDtype, class Warp, class Pipe, class Rows>
LLEP_DEVICE void expand_row(Warp& warp, Pipe& pipe, const std::byte* window,
                            const DispatchArgs& args, const Arrival<Rows>& arrival) {
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

/// Bit k of the result: `local` has bit k set and it is the `copy`-th of its bits.
LLEP_DEVICE std::uint32_t nth_bit(std::uint32_t local, int copy) {
  for (; copy > 0; --copy) local &= local - 1;
  return local & (~local + 1);
}

/// Selections whose places are derived in one pass.
inline constexpr int kAtOnce = 4;
inline constexpr int kNoExpert = -2;  // equal to no entry

struct NoRow {
  LLEP_DEVICE int operator()(int /*k*/) const { return 0; }
};

/// One copy of one source token: nothing if the token has none of that number here.
template <DispatchDtype kDtype, class Warp, class Pipe, class W>
LLEP_DEVICE void receive_row(Warp& warp, Pipe& pipe, const W& wire, const DispatchArgs& args,
                             std::uint64_t epoch, const Placement& placement, int unit) {
  const EpLayout& layout = args.layout;
  const MoeShape& shape = layout.shape;
  const int parity = static_cast<int>(epoch & 1);
  const int pair = unit / layout.slots_per_token;
  const int copy = unit % layout.slots_per_token;
  const int source = (args.rank + 1 + pair / shape.max_tokens) % shape.num_ranks;
  const int token = pair % shape.max_tokens;
  const int num_local = shape.num_local_experts();
  const int first_expert = args.rank * num_local;
  const auto* routing =
      reinterpret_cast<const TaggedPair*>(wire.local(layout.routing_of(parity, source)));
  const int before = token * shape.num_topk;  // entries of this source's earlier tokens
  const auto selected = warp.lanes(shape.num_topk, [&](int k) {
    const int entry = before + k;
    const int expert = entry_of(routing[entry / kPairEntries], entry % kPairEntries);
    const int e = expert - first_expert;
    return expert >= 0 && e >= 0 && e < num_local ? e : -1;
  });
  const std::uint32_t local = warp.bits(
      shape.num_topk, [&](int k) { return selected[k] >= 0 ? 1U << k : 0U; });
  const std::uint32_t mine = layout.slots_per_token == 1 ? local : nth_bit(local, copy);
  if (mine == 0) return;

  Arrival<decltype(warp.lanes(0, NoRow{}))> arrival{.source = source,
                                                    .token = token,
                                                    .copy = copy,
                                                    .mine = mine,
                                                    .local = local,
                                                    .rows = warp.lanes(0, NoRow{})};
  const auto earlier_of_token = warp.earlier_equal(selected);
  const auto capacity = static_cast<int>(shape.capacity());
  int first_entry = 0;
  std::uint32_t left = mine;
  do {  // kAtOnce selections in one pass over the earlier entries, and the local ones among those
    int experts[kAtOnce];
    int ks[kAtOnce];
    for (int j = 0; j < kAtOnce; ++j) {
      ks[j] = left != 0 ? lowest_bit(left) : -1;
      experts[j] = left != 0 ? selected.get(warp, ks[j]) + first_expert : kNoExpert;
      left &= left - 1;
    }
    const auto earlier = warp.template sums<kAtOnce + 1>(
        divide_up(before, kPairEntries), [&](int i, Sums<kAtOnce + 1>& found) {
          const TaggedPair entries = routing[i];
          for (int j = 0; j < kPairEntries; ++j) {
            if (i * kPairEntries + j >= before) continue;
            const int expert = entry_of(entries, j);
            for (int s = 0; s < kAtOnce; ++s) found.at[s] += expert == experts[s] ? 1 : 0;
            const int e = expert - first_expert;
            found.at[kAtOnce] += expert >= 0 && e >= 0 && e < num_local ? 1 : 0;
          }
        });
    first_entry = earlier.at[kAtOnce];
    for (int j = 0; j < kAtOnce; ++j) {
      if (ks[j] < 0) continue;
      const int e = experts[j] - first_expert;
      const int place = static_cast<int>(placement.first[source * num_local + e]) +
                        earlier.at[j] + earlier_of_token.get(warp, ks[j]);
      arrival.rows.set(warp, ks[j],
                       e * capacity + (place < capacity ? place : capacity - 1));
    }
  } while (left != 0);
  first_entry += entries_before(warp, placement, source);
  keep_books(warp, args, arrival, first_entry);

  const int expert = first_expert + selected.get(warp, lowest_bit(mine));
  const CopyPlace place{.parity = parity, .source = source, .token = token, .copy = copy};
  const bool arrived = wire.wait(
      warp, layout.num_parts,
      [&](int part) {
        return Awaited{.word = reinterpret_cast<const std::uint64_t*>(
                           wire.local(layout.dispatch_word(place, part))),
                       .peer = source,
                       .expert = expert,
                       .token = token};
      },
      epoch, WaitPhase::kDispatchRow);
  if (arrived) {
    expand_row<kDtype>(warp, pipe, wire.local(layout.dispatch_row(place)), args, arrival);
  }
}

template <DispatchDtype kDtype, class Warp, class Pipe, class W>
LLEP_DEVICE void receive(Warp& warp, Pipe& pipe, const Team& team, const W& wire,
                         const DispatchArgs& args, std::uint64_t epoch) {
  const EpLayout& layout = args.layout;
  const Placement placement = Placement::in(warp, layout.shape);
  count_rows(warp, team, wire, args, epoch, placement);
  place_rows(warp, team, layout.shape, placement);
  write_counts(warp, team, args, placement);
  const int units = static_cast<int>(layout.shape.capacity()) * layout.slots_per_token;
  const int stride = warp.num_blocks() * team.num_warps;
  // Senders of few tokens are the first blocks: the last blocks receive first.
  for (int unit = (warp.index() - team.first + 1) * warp.num_blocks() - 1 - warp.block();
       unit < units; unit += stride) {
    receive_row<kDtype>(warp, pipe, wire, args, epoch, placement, unit);
  }
}

/// The kernel. In a fused launch other warps send than receive, so that places are derived while
/// rows travel.
template <Halves kHalves, DispatchDtype kDtype, class Warp, class Pipe, class W>
  requires Wire<W, Warp, Pipe>
LLEP_DEVICE void run(Warp& warp, Pipe& pipe, const W& wire, const DispatchArgs& args) {
  const int parts = args.layout.num_parts;
  const int routings = routing_items(args.layout);
  const Begins begins{.layout = args.layout,
                      .words = args.layout.dispatch_begins,
                      .rank = args.rank,
                      .phase = WaitPhase::kDispatchBegin};
  const std::uint64_t epoch = begin_op<kHalves>(warp, args.state);
  const bool apart = kHalves == Halves::kBoth && warp.num_warps() > 1;
  const int rows = args.in.num_tokens * parts;
  const SendShare share(routings + 1 + rows, warp.num_blocks(),
                        apart ? warp.num_warps() / 2 : warp.num_warps());
  const int first_receiver = apart ? share.num_senders() : 0;
  const Team receivers{.first = first_receiver, .num_warps = warp.num_warps() - first_receiver};

  if (sends(kHalves) && warp.index() < share.num_senders()) {
    share.run(warp, args.state, epoch, [&](int item) {
      const int row = item - routings;
      if (row < 0) {
        send_routing(warp, wire, args, epoch, item);
      } else if (row < rows) {
        send_part<kDtype>(warp, pipe, wire, args, epoch, row / parts, row % parts);
      } else {
        begins.send(warp, wire, epoch);
      }
    });
    wire.flush(warp);
  }
  if (receives(kHalves) && receivers.holds(warp.index())) {
    receive<kDtype>(warp, pipe, receivers, wire, args, epoch);
    if (warp.block() == 0 && warp.index() == receivers.first) begins.wait(warp, wire, epoch);
    wire.drain(warp);
  }
}

}  // namespace llep::dispatch
