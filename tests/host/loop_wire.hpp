// SPDX-License-Identifier: MIT
#pragma once

#include "transport/fifo/proxy_wire.hpp"

namespace llep {

/// A wire between ranks that are threads: copies into the peers' heaps. It keeps no more of the
/// contract than it must: channels overtake each other, work lies about for a while, completions
/// come late, and a queue takes only so much.
struct LoopWireOptions {
  std::uint64_t seed = 1;
  std::size_t most_queued = 40;
};
MakeProxyWires loop_wires(const LoopWireOptions& options = {});

}  // namespace llep
