// SPDX-License-Identifier: MIT
#include "common/moe_shape.hpp"

#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "common/error.hpp"

namespace llep {
namespace {

/// Every violated rule that can be judged alone; rules between two sizes need both to be sane.
std::vector<std::string> violations(const MoeShape& shape) {
  std::vector<std::string> found;
  const auto require = [&](bool holds, const char* what, std::int64_t value,
                           const std::string& right) {
    if (!holds) found.push_back(fmt::format("{}: {}, {}", what, value, right));
    return holds;
  };
  const auto [num_ranks, num_experts, max_tokens, hidden, num_topk] = shape;

  const bool ranks = require(num_ranks >= 1, "num_ranks", num_ranks, "must be at least 1");
  const bool experts = require(num_experts >= 1 && num_experts <= kMaxExperts, "num_experts",
                               num_experts, fmt::format("must be in 1..{}", kMaxExperts));
  const bool tokens = require(max_tokens >= 1, "max_tokens", max_tokens, "must be at least 1");
  require(hidden >= kScaleGroup && hidden <= kMaxHidden && hidden % kScaleGroup == 0, "hidden",
          hidden, fmt::format("must be a multiple of {0} in {0}..{1}", kScaleGroup, kMaxHidden));
  const bool topk = require(num_topk >= 1 && num_topk <= kMaxTopk, "num_topk", num_topk,
                            fmt::format("must be in 1..{}", kMaxTopk));

  if (experts && topk) {
    require(num_topk <= num_experts, "num_topk", num_topk,
            fmt::format("must be at most num_experts ({})", num_experts));
  }
  if (!ranks || !experts) return found;
  const bool shared_out = require(num_experts >= num_ranks, "num_experts", num_experts,
                                  fmt::format("must be at least num_ranks ({})", num_ranks)) &&
                          require(num_experts % num_ranks == 0, "num_experts", num_experts,
                                  fmt::format("must be a multiple of num_ranks ({}), such as {}",
                                              num_ranks, num_experts / num_ranks * num_ranks));
  if (!shared_out || !tokens) return found;
  constexpr std::int64_t kMaxRows = std::numeric_limits<std::int32_t>::max();
  require(shape.capacity() * shape.num_local_experts() <= kMaxRows, "packed rows of a rank",
          shape.capacity() * shape.num_local_experts(),
          fmt::format("num_local_experts * num_ranks * max_tokens must be at most {}: max_tokens "
                      "at most {} with {} experts",
                      kMaxRows, kMaxRows / num_experts, num_experts));
  require(shape.capacity() * num_topk <= kMaxRows, "selections of all ranks",
          shape.capacity() * num_topk,
          fmt::format("num_ranks * max_tokens * num_topk must be at most {}", kMaxRows));
  return found;
}

}  // namespace

void validate(const MoeShape& shape) {
  const std::vector<std::string> found = violations(shape);
  if (!found.empty()) throw Error(ExitCode::kUsage, fmt::format("{}", fmt::join(found, "; ")));
}

}  // namespace llep
