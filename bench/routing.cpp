// SPDX-License-Identifier: MIT
#include "bench/routing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "bench/random_stream.hpp"
#include "bench/routing_drawers.hpp"
#include "common/error.hpp"

namespace llep {

namespace {

/// Of all but the numbers of tokens.
std::uint64_t iteration_seed(const RoutingSpec& spec) {
  return spec.seed + static_cast<std::uint64_t>(spec.iteration) * kGoldenGamma;
}

int tokens_of_rank(const MoeShape& shape, const RoutingSpec& spec, int rank) {
  if (spec.uneven_tokens.even()) return shape.max_tokens;
  if (spec.uneven_tokens.random) {
    RandomStream random(spec.seed + static_cast<std::uint64_t>(rank), Purpose::kTokens);
    return static_cast<int>(random.below(static_cast<std::uint64_t>(shape.max_tokens) + 1));
  }
  const std::vector<int>& tokens = spec.uneven_tokens.per_rank;
  if (tokens.size() != static_cast<std::size_t>(shape.num_ranks)) {
    throw Error(ExitCode::kUsage,
                fmt::format("uneven-tokens: {} numbers for {} ranks: give one for each",
                            tokens.size(), shape.num_ranks));
  }
  for (const int count : tokens) {
    if (count >= 0 && count <= shape.max_tokens) continue;
    throw Error(ExitCode::kUsage, fmt::format("uneven-tokens: {} is not in 0 ... {} (num-tokens)",
                                              count, shape.max_tokens));
  }
  return tokens[static_cast<std::size_t>(rank)];
}

/// How many of a rank's selections the mask takes.
std::size_t masked_selections(const MaskSpec& mask, std::size_t num_selections) {
  const auto available = static_cast<std::int64_t>(num_selections);
  const std::int64_t count = mask.count(available);
  if (count < 0 || count > available) {
    throw Error(ExitCode::kUsage,
                fmt::format("mask: {} of a rank's {} selections", count, available));
  }
  return static_cast<std::size_t>(count);
}

/// The first tokens of the trace's record, as many as the rank has.
std::vector<std::int64_t> traced(const RoutingSpec& spec, int rank, std::size_t num_selections) {
  const int steps = spec.trace->num_steps;
  const int step = (spec.iteration % steps + steps) % steps;  // warm-up iterations are negative
  const auto& recorded = spec.trace->at(step, rank).topk_idx;
  return {recorded.begin(), recorded.begin() + static_cast<std::ptrdiff_t>(num_selections)};
}

std::vector<std::int64_t> drawn(const MoeShape& shape, const RoutingSpec& spec, int rank,
                                int num_tokens) {
  DrawingRank who{.seed = iteration_seed(spec), .rank = rank};
  for (int before = 0; before < rank; ++before) {
    who.first_token += tokens_of_rank(shape, spec, before);
  }
  const ExpertDrawer draw = make_drawer(spec.pattern, shape, who);
  std::vector<std::int64_t> topk_idx;
  for (int token = 0; token < num_tokens; ++token) draw(topk_idx);
  return topk_idx;
}

/// Masks `count` distinct selections: the first steps of a shuffle.
void mask(std::vector<std::int64_t>& topk_idx, std::size_t count, RandomStream random) {
  std::vector<std::size_t> order(topk_idx.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = 0; i < count; ++i) {
    std::swap(order[i], order[i + random.below(order.size() - i)]);
    topk_idx[order[i]] = -1;
  }
}

/// Appends one rank's [num_tokens, num_topk] values as [max_tokens, num_topk].
template <class T>
void append_padded(std::vector<T>& all, const MoeShape& shape, const std::vector<T>& mine,
                   T padding) {
  const auto padded =
      static_cast<std::size_t>(shape.max_tokens) * static_cast<std::size_t>(shape.num_topk);
  all.insert(all.end(), mine.begin(), mine.end());
  all.resize(all.size() + padded - mine.size(), padding);
}

}  // namespace

RankRouting make_routing(const MoeShape& shape, const RoutingSpec& spec, int rank) {
  const std::uint64_t seed = iteration_seed(spec) + static_cast<std::uint64_t>(rank);
  RankRouting routing{
      .num_tokens = tokens_of_rank(shape, spec, rank), .topk_idx = {}, .weights = {}};
  const auto num_selections =
      static_cast<std::size_t>(routing.num_tokens) * static_cast<std::size_t>(shape.num_topk);
  const std::size_t num_masked = masked_selections(spec.mask, num_selections);

  routing.topk_idx = spec.trace ? traced(spec, rank, num_selections)
                                : drawn(shape, spec, rank, routing.num_tokens);

  RandomStream weights(seed, Purpose::kWeights);
  routing.weights.resize(num_selections);
  for (float& weight : routing.weights) weight = static_cast<float>(weights.half_normal());

  mask(routing.topk_idx, num_masked, RandomStream(seed, Purpose::kMask));
  return routing;
}

RankRouting make_routing(const Case& one, const RunOptions& options, int iteration, int rank) {
  const RoutingSpec spec{.pattern = one.routing,
                         .trace = one.trace,
                         .seed = options.seed,
                         .iteration = options.fresh_routing ? iteration : 0,
                         .mask = options.mask,
                         .uneven_tokens = options.uneven_tokens};
  return make_routing(one.shape, spec, rank);
}

GlobalRouting global_routing(const MoeShape& shape, std::span<const RankRouting> ranks) {
  GlobalRouting all{.shape = shape, .num_tokens = {}, .topk_idx = {}, .weights = {}};
  for (const RankRouting& mine : ranks) {
    all.num_tokens.push_back(mine.num_tokens);
    append_padded<std::int64_t>(all.topk_idx, shape, mine.topk_idx, -1);
    append_padded(all.weights, shape, mine.weights, 0.0F);
  }
  return all;
}

GlobalRouting gather_routing(Communicator& comm, const MoeShape& shape, const RankRouting& mine) {
  const GlobalRouting padded = global_routing(shape, std::span(&mine, 1));
  return {.shape = shape,
          .num_tokens = gather_all(comm, mine.num_tokens),
          .topk_idx = gather_all(comm, std::span(padded.topk_idx)),
          .weights = gather_all(comm, std::span(padded.weights))};
}

}  // namespace llep
