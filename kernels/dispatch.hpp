// SPDX-License-Identifier: MIT
#pragma once

#include "kernels/begin.hpp"
#include "kernels/dispatch_receive.hpp"
#include "kernels/dispatch_send.hpp"

/// Dispatch: every token's row to the ranks that own its experts.
///
///   send half     the routing to every rank, then each token's row to its ranks, and the begin
///   receive half  wait for all routings, derive each row's place, copy arrived rows there
namespace llep::dispatch {

/// The kernel. In a fused launch other warps send than receive, so that places are derived while
/// rows travel.
template <Halves kHalves, DispatchDtype kDtype, class Warp, class Pipe, class W>
  requires Wire<W, Warp, Pipe>
LLEP_DEVICE void run(Warp& warp, Pipe& pipe, const W& wire, const DispatchArgs& args) {
  const Divisor& parts = args.layout.parts;
  const int num_routings = routing_items(args.layout);
  const Begins begins{.layout = args.layout,
                      .words = args.layout.dispatch_begins,
                      .rank = args.rank,
                      .phase = WaitPhase::kDispatchBegin};
  const std::uint64_t epoch = begin_op<kHalves>(warp, args.state);
  const bool apart = kHalves == Halves::kBoth && warp.num_warps() > 1;
  const int num_parts = args.in.num_tokens * parts.value();
  const SendShare share(num_routings + num_parts + 1, warp.num_blocks(),
                        apart ? warp.num_warps() / 2 : warp.num_warps());
  const int first_receiver = apart ? share.num_senders() : 0;
  const Team receivers{.first = first_receiver, .num_warps = warp.num_warps() - first_receiver};

  if (sends(kHalves) && warp.index() < share.num_senders()) {
    share.run(warp, args.state, epoch, [&](int item) {
      const int part = item - num_routings;
      if (part < 0) {
        send_routing(warp, wire, args, epoch, item);
      } else if (part < num_parts) {
        send_part<kDtype>(warp, pipe, wire, args, epoch, parts.quotient(part),
                          parts.remainder(part));
      } else {
        begins.send(warp, wire, epoch);
      }
    });
    wire.flush(warp);
  }
  if (receives(kHalves) && receivers.holds(warp.index())) {
    receive<kDtype>(warp, pipe, receivers, wire, args, epoch);
    if (warp.block() == 0 && warp.index() == receivers.first) begins.wait(warp, wire, epoch);
  }
  // Senders too: what they put may be the user's memory, which is the user's again after the op.
  if constexpr (receives(kHalves)) wire.drain(warp);
}

}  // namespace llep::dispatch
