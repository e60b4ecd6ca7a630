// SPDX-License-Identifier: MIT
#pragma once

#include <bit>

#include "kernels/arguments.hpp"
#include "transport/wire.hpp"

/// Dispatch: every token's row to the ranks that own its experts.
///
///   send half     the routing to every rank, then each token's row to its ranks
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

/// Eight routing entries: what one lane reads at once.
LLEP_DEVICE int entry_of(const Vec16& vec, int i) {
  return static_cast<std::int16_t>(column_of(vec, i));
}

// --- send half -----------------------------------------------------------------------------------

/// The routing goes first and to everybody, this rank included; it is dispatch's begin signal.
template <class Warp, class Pipe, class W>
LLEP_DEVICE void send_routing(Warp& warp, Pipe& pipe, const W& wire, const DispatchArgs& args,
                              std::uint64_t epoch) {
  const EpLayout& layout = args.layout;
  const MoeShape& shape = layout.shape;
  const int parity = static_cast<int>(epoch & 1);
  const int num_routed = args.in.num_tokens * shape.num_topk;
  const std::uint32_t most = pipe.stage_bytes();
  for (std::uint32_t first = 0; first < layout.routing_bytes; first += most) {
    const std::uint32_t bytes =
        layout.routing_bytes - first < most ? layout.routing_bytes - first : most;
    warp.for_each(static_cast<int>(bytes / sizeof(Vec16)), [&](int v) {
      Vec16 entries;
      const int at = static_cast<int>(first / sizeof(std::int16_t)) + v * kVecColumns;
      for (int i = 0; i < kVecColumns; ++i) {
        const std::int64_t expert = at + i < num_routed ? args.in.topk_idx[at + i] : -1;
        const bool routed = expert >= 0 && expert < shape.num_experts;
        set_column(entries, i, static_cast<Bf16>(routed ? expert : -1));
      }
      reinterpret_cast<Vec16*>(pipe.stage())[v] = entries;
    });
    pipe.publish(warp);
    for (int base = 0; base < shape.num_ranks; base += kMaxLanes) {
      const int n = shape.num_ranks - base < kMaxLanes ? shape.num_ranks - base : kMaxLanes;
      wire.put(
          warp, pipe, n,
          [&](int i) {
            const int peer = (args.rank + 1 + base + i) % shape.num_ranks;
            return Destination{.peer = peer,
                               .offset = layout.routing_of(parity, args.rank) + first};
          },
          bytes);
    }
    pipe.retire(warp);
  }
  wire.commit(warp, pipe);
  wire.signal(
      warp, shape.num_ranks,
      [&](int i) {
        return Destination{.peer = (args.rank + 1 + i) % shape.num_ranks,
                           .offset = layout.routing_word(parity, args.rank)};
      },
      epoch);
}

/// Where one selection's copy of a row goes; no peer when another selection's copy serves it.
struct Copy {
  std::int32_t peer = -1;
  std::int32_t index = 0;  // among the token's copies at that peer
};

LLEP_DEVICE Copy copy_of(const EpLayout& layout, const std::int64_t* selected, int k) {
  const int num_local = layout.shape.num_local_experts();
  const auto owner = [&](int i) {
    const auto expert = static_cast<int>(selected[i]);
    return expert >= 0 && expert < layout.shape.num_experts ? expert / num_local : -1;
  };
  Copy copy{.peer = owner(k), .index = 0};
  if (copy.peer < 0) return copy;
  for (int i = 0; i < k; ++i) copy.index += owner(i) == copy.peer ? 1 : 0;
  if (copy.index >= layout.slots_per_token) copy.peer = -1;
  return copy;
}

/// One part of a token's row to everybody who needs the token; then its signals.
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
    pipe.load(warp, reinterpret_cast<const std::byte*>(from), layout.part_stride);
  }
  const std::int64_t* selected = args.in.topk_idx + token * num_topk;
  const auto copies = warp.lanes(num_topk, [&](int k) { return copy_of(layout, selected, k); });
  const auto place = [&](int k) {
    return PartPlace{.parity = static_cast<int>(epoch & 1),
                     .source = args.rank,
                     .token = token,
                     .copy = copies[k].index,
                     .part = part};
  };
  if constexpr (kDtype == DispatchDtype::kBf16) {
    pipe.wait(warp);
  } else {
    quantize(warp, pipe.stage(), from, columns);
    pipe.publish(warp);
  }
  wire.put(
      warp, pipe, num_topk,
      [&](int k) {
        return Destination{.peer = copies[k].peer, .offset = layout.dispatch_part(place(k))};
      },
      layout.part_stride);
  wire.commit(warp, pipe);
  if (token == args.dropped_token) return;
  wire.signal(
      warp, num_topk,
      [&](int k) {
        return Destination{.peer = copies[k].peer, .offset = layout.dispatch_word(place(k))};
      },
      epoch);
}

// --- receive half --------------------------------------------------------------------------------

/// Waits for the routing of every source and counts its rows per local expert.
template <class Warp, class W>
LLEP_DEVICE void count_rows(Warp& warp, const Team& team, const W& wire,
                            const DispatchArgs& args, std::uint64_t epoch,
                            const Placement& placement) {
  const EpLayout& layout = args.layout;
  const MoeShape& shape = layout.shape;
  const int parity = static_cast<int>(epoch & 1);
  const int num_local = shape.num_local_experts();
  const int vecs = static_cast<int>(layout.routing_bytes / sizeof(Vec16));
  warp.team_for_each(team, shape.num_experts, [&](int i) { placement.first[i] = 0; });
  // After a failed wait the block goes on to its end: entries are range-checked, places clamped.
  wire.wait(
      warp, shape.num_ranks,
      [&](int source) {
        return Awaited{.word = reinterpret_cast<const std::uint64_t*>(
                           wire.local(layout.routing_word(parity, source))),
                       .peer = source};
      },
      epoch, WaitPhase::kDispatchRouting);
  warp.team_sync(team);
  warp.team_for_each(team, shape.num_ranks * vecs, [&](int i) {
    const int source = i / vecs;
    const Vec16 entries =
        reinterpret_cast<const Vec16*>(wire.local(layout.routing_of(parity, source)))[i % vecs];
    for (int j = 0; j < kVecColumns; ++j) {
      const int local = entry_of(entries, j) - args.rank * num_local;
      if (entry_of(entries, j) >= 0 && local >= 0 && local < num_local) {
        Warp::fetch_add(&placement.first[source * num_local + local], 1U);
      }
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
  const int first = (warp.index() - team.first) * warp.num_blocks() + warp.block();
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

/// Transposes a staged part's scales into the packed outputs of each of its rows.
template <class Warp, class Rows>
LLEP_DEVICE void store_scales(Warp& warp, const DispatchArgs& args, const Arrival<Rows>& arrival,
                              const float* scales, int part) {
  const MoeShape& shape = args.layout.shape;
  const auto capacity = static_cast<int>(shape.capacity());
  const int groups = args.layout.part_columns() / kScaleGroup;
  for (std::uint32_t left = arrival.mine; left != 0; left &= left - 1) {
    const int row = arrival.rows.get(warp, lowest_bit(left));
    const int first_group = row / capacity * shape.num_scales() + part * groups;
    float* to = args.out.packed_recv_scales + row % capacity;
    warp.for_each(groups, [&](int g) {
      to[static_cast<std::size_t>(first_group + g) * static_cast<std::size_t>(capacity)] =
          scales[g];
    });
  }
  warp.sync();
}

/// Copies an arrived row from the window to its packed rows, as many parts at once as fit the
/// stage.
template <DispatchDtype kDtype, class Warp, class Pipe, class Rows>
LLEP_DEVICE void expand_row(Warp& warp, Pipe& pipe, const std::byte* window,
                            const DispatchArgs& args, const Arrival<Rows>& arrival) {
  const EpLayout& layout = args.layout;
  const auto columns = static_cast<std::uint32_t>(layout.part_columns());
  const std::uint32_t part_bytes =
      kDtype == DispatchDtype::kFp8 ? columns : columns * static_cast<std::uint32_t>(sizeof(Bf16));
  const std::uint32_t row_bytes = part_bytes * static_cast<std::uint32_t>(layout.num_parts);
  const auto at_once = static_cast<int>(pipe.stage_bytes() / layout.part_stride);
  for (int first = 0; first < layout.num_parts; first += at_once) {
    const int parts = layout.num_parts - first < at_once ? layout.num_parts - first : at_once;
    const auto skipped = static_cast<std::uint32_t>(first);
    pipe.load(warp, window + skipped * layout.part_stride,
              static_cast<std::uint32_t>(parts) * layout.part_stride);
    pipe.wait(warp);
    for (int part = 0; part < parts; ++part) {
      const std::uint32_t staged = static_cast<std::uint32_t>(part) * layout.part_stride;
      pipe.store_to(
          warp, layout.shape.num_topk,
          [&](int k) -> std::byte* {
            if ((arrival.mine >> k & 1U) == 0) return nullptr;
            return args.out.packed_recv_x + static_cast<std::size_t>(arrival.rows[k]) * row_bytes +
                   (skipped + static_cast<std::uint32_t>(part)) * part_bytes;
          },
          part_bytes, staged);
      if constexpr (kDtype == DispatchDtype::kFp8) {
        store_scales(warp, args, arrival,
                     reinterpret_cast<const float*>(pipe.stage() + staged + columns),
                     first + part);
      }
    }
    pipe.retire(warp);
  }
}

/// Bit k of the result: `local` has bit k set and it is the `copy`-th of its bits.
LLEP_DEVICE std::uint32_t nth_bit(std::uint32_t local, int copy) {
  for (; copy > 0; --copy) local &= local - 1;
  return local & (~local + 1);
}

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
      reinterpret_cast<const std::int16_t*>(wire.local(layout.routing_of(parity, source)));
  const std::int16_t* selected = routing + token * shape.num_topk;

  const std::uint32_t local = warp.bits(shape.num_topk, [&](int k) {
    const int e = selected[k] - first_expert;
    return selected[k] >= 0 && e >= 0 && e < num_local ? 1U << k : 0U;
  });
  const std::uint32_t mine = layout.slots_per_token == 1 ? local : nth_bit(local, copy);
  if (mine == 0) return;

  // Entries of this source before (token, k) that match; whole vectors, the last one in part.
  const auto earlier = [&](int before, auto matches) {
    return warp.sum(divide_up(before, kVecColumns), [&](int v) {
      const Vec16 entries = reinterpret_cast<const Vec16*>(routing)[v];
      int found = 0;
      for (int j = 0; j < kVecColumns; ++j) {
        found += v * kVecColumns + j < before && matches(entry_of(entries, j)) ? 1 : 0;
      }
      return found;
    });
  };
  const auto no_row = [](int) { return 0; };
  Arrival<decltype(warp.lanes(0, no_row))> arrival{.source = source,
                                                   .token = token,
                                                   .copy = copy,
                                                   .mine = mine,
                                                   .local = local,
                                                   .rows = warp.lanes(0, no_row)};
  for (std::uint32_t left = mine; left != 0; left &= left - 1) {
    const int k = lowest_bit(left);
    const int expert = selected[k];
    const auto capacity = static_cast<int>(shape.capacity());
    const int place =
        static_cast<int>(placement.first[source * num_local + expert - first_expert]) +
        earlier(token * shape.num_topk + k, [&](int other) { return other == expert; });
    arrival.rows.set(
        warp, k,
        (expert - first_expert) * capacity + (place < capacity ? place : capacity - 1));
  }
  const int first_entry =
      entries_before(warp, placement, source) +
      earlier(token * shape.num_topk,
              [&](int e) { return e >= first_expert && e < first_expert + num_local; });
  keep_books(warp, args, arrival, first_entry);

  const PartPlace place{.parity = parity, .source = source, .token = token, .copy = copy, .part = 0};
  const bool arrived = wire.wait(
      warp, layout.num_parts,
      [&](int part) {
        PartPlace at = place;
        at.part = part;
        return Awaited{.word = reinterpret_cast<const std::uint64_t*>(
                           wire.local(layout.dispatch_word(at))),
                       .peer = source,
                       .expert = selected[lowest_bit(mine)],
                       .token = token};
      },
      epoch, WaitPhase::kDispatchRow);
  if (arrived) {
    expand_row<kDtype>(warp, pipe, wire.local(layout.dispatch_part(place)), args, arrival);
  }
}

/// Which warps of a block send and which receive. In a fused launch they are different ones, so
/// that places are derived while rows travel.
struct Roles {
  int num_senders;
  Team receivers;
};

template <Halves kHalves, class Warp>
LLEP_DEVICE Roles roles_of(Warp& warp, int num_items) {
  const int warps = warp.num_warps();
  const bool both = kHalves == Halves::kBoth && warps > 1;
  const int senders =
      SendQueue::num_senders(num_items, warp.num_blocks(), both ? warps / 2 : warps);
  const int first = both ? senders : 0;
  return {.num_senders = senders,
          .receivers = {.first = first, .num_warps = warps - first}};
}

template <DispatchDtype kDtype, class Warp, class Pipe, class W>
LLEP_DEVICE void receive(Warp& warp, Pipe& pipe, const Team& team, const W& wire,
                         const DispatchArgs& args, std::uint64_t epoch) {
  const EpLayout& layout = args.layout;
  const Placement placement = Placement::in(warp, layout.shape);
  count_rows(warp, team, wire, args, epoch, placement);
  place_rows(warp, team, layout.shape, placement);
  const int units = static_cast<int>(layout.shape.capacity()) * layout.slots_per_token;
  const int stride = warp.num_blocks() * team.num_warps;
  for (int unit = (warp.index() - team.first) * warp.num_blocks() + warp.block(); unit < units;
       unit += stride) {
    receive_row<kDtype>(warp, pipe, wire, args, epoch, placement, unit);
  }
  write_counts(warp, team, args, placement);
}

/// The kernel.
template <Halves kHalves, DispatchDtype kDtype, class Warp, class Pipe, class W>
  requires Wire<W, Warp, Pipe>
LLEP_DEVICE void run(Warp& warp, Pipe& pipe, const W& wire, const DispatchArgs& args) {
  const int parts = args.layout.num_parts;
  const int num_items = 1 + args.in.num_tokens * parts;  // the routing, then the rows
  const OpStart start = begin_op<kHalves>(warp, args.counters);
  const Roles roles = roles_of<kHalves>(warp, num_items);

  if (sends(kHalves) && warp.index() < roles.num_senders) {
    const SendQueue queue(args.counters, start, num_items, warp.num_blocks());
    queue.run(warp, roles.num_senders, [&](int item) {
      if (item == 0) {
        send_routing(warp, pipe, wire, args, start.epoch);
      } else {
        send_part<kDtype>(warp, pipe, wire, args, start.epoch, (item - 1) / parts,
                          (item - 1) % parts);
      }
    });
    wire.flush(warp);
  }
  if (receives(kHalves) && roles.receivers.holds(warp.index())) {
    receive<kDtype>(warp, pipe, roles.receivers, wire, args, start.epoch);
    wire.drain(warp);
  }
  end_op<kHalves>(warp, args.counters);
}

}  // namespace llep::dispatch
