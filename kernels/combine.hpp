// SPDX-License-Identifier: MIT
#pragma once

#include "kernels/arguments.hpp"
#include "kernels/begin.hpp"
#include "kernels/put_row.hpp"

/// Combine: every expert output row back to its token's owner, who adds them up.
///
///   send half     the begin signal to every rank, then each row of the books
///   receive half  wait for a token's rows, weighted sum in k order
namespace llep::combine {

/// One row to the window of the token's owner; then its signal.
template <class Warp, class Pipe, class W>
LLEP_DEVICE void send_row(Warp& warp, Pipe& pipe, const W& wire, const CombineArgs& args,
                          std::uint64_t epoch, int entry_index) {
  const EpLayout& layout = args.layout;
  const int parity = static_cast<int>(epoch & 1);
  const BookEntry entry = args.books.entries[entry_index];
  const RowSource row{
      .from = reinterpret_cast<const std::byte*>(
          args.in.expert_output + static_cast<std::size_t>(entry.packed_row) *
                                      static_cast<std::size_t>(layout.shape.hidden)),
      .bytes = layout.combine_row_bytes(),
      .home = layout.combine_home(parity, entry_index, entry.packed_row)};
  row.begin(warp, pipe);
  row.put(warp, pipe, wire, 1, [&](int) {
    return Destination{.peer = entry.source,
                       .channel = entry.token,
                       .offset = layout.combine_row(parity, entry.token, entry.k)};
  });
  wire.commit(warp, pipe);
  if (entry_index == args.dropped_entry) return;
  wire.signal(
      warp, 1,
      [&](int) {
        return Destination{.peer = entry.source,
                           .channel = entry.token,
                           .offset = layout.combine_word(parity, entry.token, entry.k)};
      },
      epoch);
}

/// Vectors of a row that a lane reduces at once, at most: loads enough under way, registers to hold
/// them.
inline constexpr int kMostVecsPerLane = 4;

/// A part of one token's output row.
template <class Warp, class W>
LLEP_DEVICE void reduce_part(Warp& warp, const W& wire, const CombineArgs& args,
                             std::uint64_t epoch, int token, int first_vec) {
  const EpLayout& layout = args.layout;
  const MoeShape& shape = layout.shape;
  const int parity = static_cast<int>(epoch & 1);
  const std::int64_t* selected = args.in.topk_idx + token * shape.num_topk;
  const float* weights = args.in.topk_weights + token * shape.num_topk;
  const std::uint32_t valid = warp.bits(shape.num_topk, [&](int k) {
    return selected[k] >= 0 && selected[k] < shape.num_experts ? 1U << k : 0U;
  });
  wire.wait(
      warp, shape.num_topk,
      [&](int k) {
        if ((valid >> k & 1U) == 0) return Awaited{};
        const auto expert = static_cast<int>(selected[k]);
        const int owner = layout.local_experts.quotient(expert);
        return Awaited{.word = wire.words(owner, layout.combine_word(parity, token, k)),
                       .peer = owner,
                       .expert = expert,
                       .token = token};
      },
      epoch, WaitPhase::kCombineRow);
  const auto heap_of = [&](int k) {
    return wire.arrivals(layout.local_experts.quotient(static_cast<int>(selected[k])), 0);
  };
  // Found out once for all selections: what a lane asked for each of its loads would cost more than
  // the loads.
  const std::byte* here = wire.arrivals(args.rank, 0);
  const std::uint32_t elsewhere = warp.bits(shape.num_topk, [&](int k) {
    return (valid >> k & 1U) != 0 && heap_of(k) != here ? 1U << k : 0U;
  });
  const std::byte* there = elsewhere == 0 ? here : heap_of(lowest_bit(elsewhere));
  const auto row = [&](int k) {
    return reinterpret_cast<const Vec16*>(((elsewhere >> k & 1U) == 0 ? here : there) +
                                          layout.combine_row(parity, token, k));
  };
  const auto weight = [&](int k) { return weights[k]; };
  const int num_vecs = shape.hidden / kVecColumns;
  const int left = num_vecs - first_vec;
  const int n = left < args.part_vecs ? left : args.part_vecs;
  auto* out = reinterpret_cast<Vec16*>(args.out) +
              static_cast<std::size_t>(token) * static_cast<std::size_t>(num_vecs);
  const WeightedRows<decltype(row), decltype(weight)> rows{
      .num_rows = shape.num_topk, .valid = valid, .row = row, .weight = weight};
  if (n <= kMaxLanes) {
    weighted_sum<1>(warp, out, rows, first_vec, n);
  } else {
    weighted_sum<kMostVecsPerLane>(warp, out, rows, first_vec, n);
  }
}

/// The kernel.
template <Halves kHalves, class Warp, class Pipe, class W>
  requires Wire<W, Warp, Pipe>
LLEP_DEVICE void run(Warp& warp, Pipe& pipe, const W& wire, const CombineArgs& args) {
  const MoeShape& shape = args.layout.shape;
  const int num_entries = sends(kHalves) ? args.books.first_entry[shape.num_ranks] : 0;
  const Begins begins{.layout = args.layout,
                      .words = args.layout.combine_begins,
                      .rank = args.rank,
                      .phase = WaitPhase::kCombineBegin};
  const std::uint64_t epoch = begin_op<kHalves>(warp, args.state);

  if constexpr (sends(kHalves)) {
    // Every rank starts with the rows of the rank after it, so that not all send to one.
    const int offset = args.books.first_entry[shape.rank_after(args.rank, 0)];
    // A signal waits for all that its multiprocessor is writing: with few rows under way at once,
    // each is known to have arrived soon after it has, and the other warps reduce meanwhile.
    const int most_senders = warp.num_warps() > 1 ? warp.num_warps() / 2 : 1;
    const SendShare share(1 + num_entries, warp.num_blocks(), most_senders);
    if (warp.index() < share.num_senders()) {
      share.run(warp, args.state, epoch, [&](int item) {  // the begin signal, then the rows
        if (item == 0) {
          begins.send(warp, wire, epoch);
        } else {
          const int entry = item - 1 + offset;
          send_row(warp, pipe, wire, args, epoch,
                   entry < num_entries ? entry : entry - num_entries);
        }
      });
    }
    wire.flush(warp);
  }
  if constexpr (receives(kHalves)) {
    const Divisor& parts = args.parts;
    const int stride = warp.num_blocks() * warp.num_warps();
    const int me = (warp.num_warps() - 1 - warp.index()) * warp.num_blocks() + warp.block();
    for (int unit = me; unit < args.in.num_tokens * parts.value(); unit += stride) {
      reduce_part(warp, wire, args, epoch, parts.quotient(unit),
                  parts.remainder(unit) * args.part_vecs);
    }
    if (me == 0) begins.wait(warp, wire, epoch);
    wire.drain(warp);
  }
}

}  // namespace llep::combine
