// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bench/options.hpp"
#include "bench/routing_trace.hpp"
#include "bench/sweep.hpp"
#include "common/communicator.hpp"
#include "common/moe_shape.hpp"
#include "kernels/reference.hpp"

namespace llep {

/// One rank's input of dispatch (topk_idx) and combine (both).
struct RankRouting {
  int num_tokens = 0;
  std::vector<std::int64_t> topk_idx;  // [num_tokens, num_topk] global expert; -1: masked
  std::vector<float> weights;          // [num_tokens, num_topk]

  friend bool operator==(const RankRouting&, const RankRouting&) = default;
};

/// How routings are drawn. The same spec gives the same routing with every compiler and library.
struct RoutingSpec {
  RoutingPattern pattern;
  std::shared_ptr<const Trace> trace;  // of a pattern that needs one, checked to fit
  std::uint64_t seed = kDefaultSeed;   // rank r draws from seed + r
  int iteration = 0;  // each draws anew, but for the numbers of tokens: graphs hold these
  MaskSpec mask;
  UnevenTokens uneven_tokens;  // random: each rank draws from 0 ... max_tokens
};

/// Experts follow the pattern, weights are |N(0,1)|. Tokens, experts, weights and mask come from
/// streams of their own: a mask changes no other selection, and more tokens none of the first ones'
/// experts and weights (which of them are masked does change). `balanced` alone looks at the ranks
/// before this one.
///
/// Throws Error(kUsage) where tokens or mask do not fit the (valid) shape, which the pattern fits.
RankRouting make_routing(const MoeShape& shape, const RoutingSpec& spec, int rank);

/// A case's in one iteration: without --fresh-routing the same in all.
RankRouting make_routing(const Case& one, const RunOptions& options, int iteration, int rank);

/// The routings of all ranks, in rank order, padded to max_tokens.
GlobalRouting global_routing(const MoeShape& shape, std::span<const RankRouting> ranks);

/// Collective: as global_routing, each rank giving its own.
GlobalRouting gather_routing(Communicator& comm, const MoeShape& shape, const RankRouting& mine);

}  // namespace llep
