// SPDX-License-Identifier: MIT
#include "bench/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/option_values.hpp"

namespace llep {
namespace {

/// All shapes, tokens fastest.
std::vector<MoeShape> expand_shapes(const RunOptions& options, int num_ranks) {
  std::vector<int> num_experts = options.num_experts;
  for (const int per_rank : options.experts_per_rank) {
    if (per_rank > kMaxExperts / num_ranks) {
      usage_error(fmt::format("--experts-per-rank: {} on {} ranks are more than {} experts",
                              per_rank, num_ranks, kMaxExperts));
    }
    num_experts.push_back(per_rank * num_ranks);
  }
  std::vector<MoeShape> shapes;
  for (const int experts : num_experts) {
    for (const int topk : options.num_topk) {
      for (const int hidden : options.hidden) {
        for (const int tokens : options.num_tokens) {
          shapes.push_back({.num_ranks = num_ranks,
                            .num_experts = experts,
                            .max_tokens = tokens,
                            .hidden = hidden,
                            .num_topk = topk});
          validate(shapes.back());
        }
      }
    }
  }
  return shapes;
}

/// Each of the cases with each of the values, the values varying faster.
template <class T>
std::vector<Case> times(const std::vector<Case>& cases, T Case::*axis,
                        const std::vector<T>& values) {
  std::vector<Case> product;
  for (const Case& one : cases) {
    for (const T& value : values) {
      product.push_back(one);
      product.back().*axis = value;
    }
  }
  return product;
}

void check_against_ranks(const RunOptions& options, int num_ranks) {
  const auto& uneven = options.uneven_tokens.per_rank;
  if (!uneven.empty() && static_cast<int>(uneven.size()) != num_ranks) {
    usage_error(fmt::format("--uneven-tokens: {} values for {} ranks", uneven.size(), num_ranks));
  }
  const int most = uneven.empty() ? 0 : *std::max_element(uneven.begin(), uneven.end());
  const int fewest = *std::min_element(options.num_tokens.begin(), options.num_tokens.end());
  if (most > fewest) {
    usage_error(fmt::format("--uneven-tokens: {} is above --num-tokens {}", most, fewest));
  }
  const auto listed = [](const auto& list, auto value) {
    return std::find(list.begin(), list.end(), value) != list.end();
  };
  const bool fresh = listed(options.modes, Mode::kFresh);
  if (fresh && !options.device_clock) {
    usage_error("--mode fresh: entries are known by the device's clock; use --device-clock on");
  }
  const bool apart = listed(options.phases, Phases::kSplit) &&
                     (fresh || listed(options.modes, Mode::kPaired));
  if (options.overlap_us > 0 && !apart) {
    usage_error("--overlap-us: there is nothing between the halves of an op but with --phases split "
                "and --mode paired or fresh");
  }
  const bool chains = listed(options.modes, Mode::kChained) || listed(options.modes, Mode::kGraph);
  if (options.flush_l2 && chains) {
    usage_error("--flush-l2: between the ops of a chain there is no flush; use --mode paired or "
                "fresh");
  }
  const bool graphs = listed(options.modes, Mode::kGraph);
  if (graphs && options.inject && options.inject->kind == Injection::Kind::kDrop) {
    usage_error("--inject drop: a graph replays what it recorded; use another --mode");
  }
  if (options.inject && options.inject->rank >= num_ranks) {
    usage_error(
        fmt::format("--inject: rank={}, but there are {} ranks", options.inject->rank, num_ranks));
  }
}

}  // namespace

bool Case::wants(Op op) const { return std::find(ops.begin(), ops.end(), op) != ops.end(); }

std::vector<Case> expand(const RunOptions& options, int num_ranks) {
  check_against_ranks(options, num_ranks);
  std::vector<Case> cases(1);
  cases.front().ops = options.ops;
  std::sort(cases.front().ops.begin(), cases.front().ops.end());
  cases = times(cases, &Case::transport, options.transports);
  cases = times(cases, &Case::signal, options.signals);
  cases = times(cases, &Case::dtype, options.dispatch_dtypes);
  cases = times(cases, &Case::copies, options.dispatch_copies);
  cases = times(cases, &Case::phases, options.phases);
  cases = times(cases, &Case::mode, options.modes);
  cases = times(cases, &Case::routing, options.routings);
  cases = times(cases, &Case::shape, expand_shapes(options, num_ranks));
  for (const Case& one : cases) check_fits(one.routing, one.shape);
  return cases;
}

std::string label(const Case& one) {
  const MoeShape& shape = one.shape;
  const bool uniform = one.routing == RoutingPattern{};
  return fmt::format("{}{} {} {} {} {} E{} K{} H{} T{}{}", one.transport,
                     one.signal == SignalMode::kAtomic ? " atomic" : "", to_string(one.dtype),
                     to_string(one.copies), to_string(one.phases), to_string(one.mode),
                     shape.num_experts, shape.num_topk, shape.hidden, shape.max_tokens,
                     uniform ? "" : " " + label(one.routing));
}

std::string case_name(const Case& one, Op op, const std::string& mode, const std::string& routing) {
  const MoeShape& shape = one.shape;
  return fmt::format("{}/{}/{}/{}/{}/{}/R{}/E{}/K{}/H{}/T{}/{}", to_string(op), one.transport,
                     to_string(one.dtype), to_string(one.copies), to_string(one.phases), mode,
                     shape.num_ranks, shape.num_experts, shape.num_topk, shape.hidden,
                     shape.max_tokens, routing);
}

std::string mode_label(const Case& one, const RunOptions& options) {
  return std::string(to_string(one.mode)) + (options.zero_copy ? "-zero-copy" : "") +
         (one.signal == SignalMode::kAtomic ? "-atomic" : "");
}

std::string routing_label(const Case& one, const RunOptions& options) {
  std::string text = label(one.routing);
  if (options.mask != MaskSpec{}) text += "-mask" + to_string(options.mask);
  if (!options.uneven_tokens.even()) text += "-uneven";
  if (options.fresh_routing) text += "-fresh";
  return text;
}

}  // namespace llep
