// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "transport/fifo/proxy_wire.hpp"
#include "transport/verbs/options.hpp"

namespace llep {

/// Why this rank cannot use verbs: no RDMA device, no active port, a build without libibverbs.
/// Nothing: it can, as far as one rank alone can tell.
std::optional<std::string> why_no_verbs();

/// RDMA writes over reliable connected queue pairs, one for each channel of each peer.
///
/// Why the contract holds. All work of a channel is posted to one queue pair, in order. Its
/// responder executes requests, and places the bytes of writes, in the order in which they were
/// posted (InfiniBand Architecture 1.4, 9.5 "Transaction Ordering": requests of one send queue are
/// executed in order). The bytes travel on from the adapter to memory as posted PCIe writes, which
/// do not pass each other unless they carry the relaxed ordering attribute (PCI Express
/// Base 2.4.1); the heap is registered without it. So whoever sees a signal's word sees the rows
/// before it; the word itself is 8 aligned bytes of one packet, which arrive whole. That a poller
/// may rely on this is no promise of the InfiniBand architecture but a property of adapters: mlx5's
/// default, gone with out-of-order placement or relaxed ordering forced by firmware. There signals
/// must be atomics (signal_atomic, always with relaxed_ordering): the responder executes an atomic
/// after all earlier writes have been placed. It adds the difference to the last value this rank,
/// the word's only writer, wrote there.
///
/// soft-RoCE (x86) copies packets to memory one after the other, each from its first byte to its
/// last: of a word that only grows, a poller never sees more than was written.
MakeProxyWires make_verbs_wires(const VerbsOptions& options, const VerbsRank& rank);

}  // namespace llep
