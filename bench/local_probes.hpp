// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "bench/probe_loop.hpp"

namespace llep {

/// Of the devices themselves, all at once and without a transport: an empty launch, and copying
/// from the own memory to the own memory. Collective.
std::vector<Probe> local_probes(const RankContext& context);

}  // namespace llep
