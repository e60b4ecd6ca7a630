// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "bench/routing_pattern.hpp"
#include "common/moe_shape.hpp"

namespace llep {

/// Appends the num_topk distinct experts of one token; each call is the rank's next token.
using ExpertDrawer = std::function<void(std::vector<std::int64_t>& topk_idx)>;

/// Who draws.
struct DrawingRank {
  std::uint64_t seed = 0;  // the same on all ranks; rank r's own draws are from seed + r
  int rank = 0;
  std::int64_t first_token = 0;  // how many tokens the ranks before it have
};

/// Of any pattern that fits the shape but a trace. The same arguments give the same experts with
/// every compiler and library.
ExpertDrawer make_drawer(const RoutingPattern& pattern, const MoeShape& shape,
                         const DrawingRank& who);

}  // namespace llep
