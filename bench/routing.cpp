// SPDX-License-Identifier: MIT
#include "bench/routing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/error.hpp"
#include "common/mix64.hpp"

namespace llep {

namespace {

enum class Purpose : std::uint64_t { kTokens, kScores, kWeights, kMask };

/// A stream of random numbers (splitmix64) whose values are promised: only integer operations and
/// exact or correctly rounded additions, products and comparisons of doubles, where the standard
/// library's distributions and libm's logarithm differ between versions.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, Purpose purpose)
      : state_(mix64(mix64(seed) + static_cast<std::uint64_t>(purpose))) {}

  std::uint64_t next() { return mix64(state_ += kGoldenGamma); }

  /// 0 <= value < bound; the bias of 2^-64 * bound is of no account here.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }

  /// |N(0,1)|: an exponential x is kept with probability exp(-(x - 1)^2 / 2), which is that another
  /// exponential is larger than the exponent (von Neumann 1951).
  double half_normal() {
    for (;;) {
      const double x = exponential();
      const double deviation = x - 1.0;
      if (exponential() >= deviation * deviation * 0.5) return x;
    }
  }

 private:
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  /// A run of falling uniforms that starts at u has odd length with probability exp(-u).
  double exponential() {
    for (double whole = 0.0;; whole += 1.0) {
      const double first = uniform();
      bool odd = true;
      double last = first;
      for (double value = uniform(); value < last; value = uniform()) {
        last = value;
        odd = !odd;
      }
      if (odd) return whole + first;
    }
  }

  std::uint64_t state_;
};

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

/// One token's experts, largest score first; equal scores go to the lower expert.
class TopExperts {
 public:
  TopExperts(const MoeShape& shape, std::uint64_t seed)
      : num_topk_(shape.num_topk),
        random_(seed, Purpose::kScores),
        scores_(static_cast<std::size_t>(shape.num_experts)) {}

  void append_to(std::vector<std::int64_t>& topk_idx) {
    for (std::size_t expert = 0; expert < scores_.size(); ++expert) {
      scores_[expert] = {-(random_.half_normal() + 1.0), static_cast<std::int64_t>(expert)};
    }
    std::partial_sort(scores_.begin(), scores_.begin() + num_topk_, scores_.end());
    for (int k = 0; k < num_topk_; ++k) {
      topk_idx.push_back(scores_[static_cast<std::size_t>(k)].second);
    }
  }

 private:
  int num_topk_;
  RandomStream random_;
  std::vector<std::pair<double, std::int64_t>> scores_;  // (-score, expert)
};

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
  const std::uint64_t seed = spec.seed + static_cast<std::uint64_t>(rank);
  RankRouting routing{
      .num_tokens = tokens_of_rank(shape, spec, rank), .topk_idx = {}, .weights = {}};
  const auto num_selections =
      static_cast<std::size_t>(routing.num_tokens) * static_cast<std::size_t>(shape.num_topk);
  const std::size_t num_masked = masked_selections(spec.mask, num_selections);

  routing.topk_idx.reserve(num_selections);
  TopExperts top(shape, seed);
  for (int token = 0; token < routing.num_tokens; ++token) top.append_to(routing.topk_idx);

  RandomStream weights(seed, Purpose::kWeights);
  routing.weights.resize(num_selections);
  for (float& weight : routing.weights) weight = static_cast<float>(weights.half_normal());

  mask(routing.topk_idx, num_masked, RandomStream(seed, Purpose::kMask));
  return routing;
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
