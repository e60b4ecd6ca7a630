// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "bench/probe_loop.hpp"

namespace llep {

/// What kernels' posts to send queues cost without an adapter, on rank 0; none where the transport
/// has no such queues. Collective.
std::vector<Probe> queue_probes(const RankContext& context, const RunOptions& options);

}  // namespace llep
