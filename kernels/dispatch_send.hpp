// SPDX-License-Identifier: MIT
#pragma once

#include "kernels/arguments.hpp"
#include "kernels/put_row.hpp"
#include "kernels/routing_words.hpp"

/// Dispatch, send half.
namespace llep::dispatch {

/// A piece of the routing to everybody, this rank included. It goes first, and before rows fill the
/// links.
template <class Warp, class W>
LLEP_DEVICE void send_routing(Warp& warp, const W& wire, const DispatchArgs& args,
                              std::uint64_t epoch, int item) {
  const EpLayout& layout = args.layout;
  const MoeShape& shape = layout.shape;
  const int first = item * kMostPosted;
  const int left = static_cast<int>(layout.routing_pairs()) - first;
  const int num_routed = args.in.num_tokens * shape.num_topk;
  wire.post(
      warp, left < kMostPosted ? left : kMostPosted,
      [&](int i) {
        TaggedPair pair;
        for (int j = 0; j < kPairEntries; ++j) {
          const int at = (first + i) * kPairEntries + j;
          const std::int64_t expert = at < num_routed ? args.in.topk_idx[at] : -1;
          const bool routed = expert >= 0 && expert < shape.num_experts;
          set_entry(pair, j, routed ? static_cast<int>(expert) : -1);
        }
        return pair;
      },
      shape.num_ranks,
      [&](int p) {
        return Destination{
            .peer = shape.rank_after(args.rank, p),
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
  const CopyPlace own{.parity = static_cast<int>(epoch & 1),
                      .source = args.rank,
                      .token = token,
                      .copy = 0};  // this rank's own place in its window is its row's home
  const RowSource row{.from = reinterpret_cast<const std::byte*>(from),
                      .bytes = layout.part_bytes,
                      .home = layout.dispatch_part(own, part)};
  if constexpr (kDtype == DispatchDtype::kBf16) row.begin(warp, pipe);
  const std::int64_t* selected = args.in.topk_idx + token * num_topk;
  const auto owners = warp.lanes(num_topk, [&](int k) {
    const std::int64_t expert = selected[k];
    const bool routed = expert >= 0 && expert < layout.shape.num_experts;
    return routed ? layout.local_experts.quotient(static_cast<int>(expert)) : -1;
  });
  const auto copies = warp.earlier_equal(owners);
  const auto peer = [&](int k) { return copies[k] < layout.slots_per_token() ? owners[k] : -1; };
  const auto place = [&](int k) {
    CopyPlace at = own;
    at.copy = copies[k];
    return at;
  };
  const auto columns_at = [&](int k) {
    return Destination{
        .peer = peer(k), .channel = token, .offset = layout.dispatch_part(place(k), part)};
  };
  if constexpr (kDtype == DispatchDtype::kBf16) {
    row.put(warp, pipe, wire, num_topk, columns_at);
  } else {
    quantize(warp, pipe.stage(), from, columns);
    pipe.publish(warp);
    wire.put(warp, pipe, num_topk, columns_at, 
             Staged{.bytes = layout.part_bytes, .home = row.home});
    wire.put(
        warp, pipe, num_topk,
        [&](int k) {
          return Destination{
              .peer = peer(k), .channel = token, .offset = layout.dispatch_scales(place(k), part)};
        },
        Staged{.first = layout.part_bytes,
               .bytes = layout.part_scale_bytes,
               .home = layout.dispatch_scales(own, part)});
  }
  wire.commit(warp, pipe);
  if (token == args.dropped_token) return;
  wire.signal(
      warp, num_topk,
      [&](int k) {
        return Destination{
            .peer = peer(k), .channel = token, .offset = layout.dispatch_word(place(k), part)};
      },
      epoch);
}

}  // namespace llep::dispatch
