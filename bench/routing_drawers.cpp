// SPDX-License-Identifier: MIT
#include "bench/routing_drawers.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "bench/random_stream.hpp"
#include "common/error.hpp"

namespace llep {

namespace {

using Experts = std::vector<std::int64_t>;

std::size_t size(int n) { return static_cast<std::size_t>(n); }

Experts all_experts(const MoeShape& shape) {
  Experts experts(size(shape.num_experts));
  std::iota(experts.begin(), experts.end(), std::int64_t{0});
  return experts;
}

/// Brings `count` random elements of [first, last) to its front: the first steps of a shuffle.
void shuffle_front(Experts::iterator first, Experts::iterator last, int count,
                   RandomStream& random) {
  for (int i = 0; i < count; ++i, ++first) {
    const auto ahead = random.below(static_cast<std::uint64_t>(last - first));
    std::iter_swap(first, first + static_cast<std::ptrdiff_t>(ahead));
  }
}

RandomStream own_stream(const DrawingRank& who) {
  return {who.seed + static_cast<std::uint64_t>(who.rank), Purpose::kScores};
}

/// (-score, expert): sorted, the largest score comes first, of equal ones the lower expert.
using Scores = std::vector<std::pair<double, std::int64_t>>;

void score_all(Scores& scores, RandomStream& random) {
  for (std::size_t expert = 0; expert < scores.size(); ++expert) {
    scores[expert] = {-(random.half_normal() + 1.0), static_cast<std::int64_t>(expert)};
  }
}

void append_best(Scores& scores, int num_topk, Experts& topk_idx) {
  std::partial_sort(scores.begin(), scores.begin() + num_topk, scores.end());
  for (int k = 0; k < num_topk; ++k) topk_idx.push_back(scores[size(k)].second);
}

class Uniform {
 public:
  Uniform(const MoeShape& shape, const DrawingRank& who)
      : num_topk_(shape.num_topk), random_(own_stream(who)), scores_(size(shape.num_experts)) {}

  void operator()(Experts& topk_idx) {
    score_all(scores_, random_);
    append_best(scores_, num_topk_, topk_idx);
  }

 private:
  int num_topk_;
  RandomStream random_;
  Scores scores_;
};

/// DeepSeek-V3's node-limited routing: a group is as good as its two best experts together.
class GroupLimited {
 public:
  GroupLimited(const RoutingPattern& pattern, const MoeShape& shape, const DrawingRank& who)
      : num_topk_(shape.num_topk),
        groups_per_token_(pattern.groups_per_token),
        group_size_(shape.num_experts / pattern.num_groups),
        random_(own_stream(who)),
        scores_(size(shape.num_experts)),
        groups_(size(pattern.num_groups)) {}

  void operator()(Experts& topk_idx) {
    score_all(scores_, random_);
    for (std::size_t group = 0; group < groups_.size(); ++group) {
      groups_[group] = {score_of_group(group), static_cast<std::int64_t>(group)};
    }
    std::partial_sort(groups_.begin(), groups_.begin() + groups_per_token_, groups_.end());
    candidates_.clear();
    for (int i = 0; i < groups_per_token_; ++i) {
      const auto first = first_of_group(static_cast<std::size_t>(groups_[size(i)].second));
      candidates_.insert(candidates_.end(), first, first + group_size_);
    }
    append_best(candidates_, num_topk_, topk_idx);
  }

 private:
  Scores::const_iterator first_of_group(std::size_t group) const {
    return scores_.begin() + static_cast<std::ptrdiff_t>(group) * group_size_;
  }

  double score_of_group(std::size_t group) const {
    double best = 0.0;
    double second = 0.0;  // stays so in a group of one
    const auto first = first_of_group(group);
    for (auto expert = first; expert != first + group_size_; ++expert) {
      second = std::min(second, std::max(best, expert->first));
      best = std::min(best, expert->first);
    }
    return best + second;
  }

  int num_topk_;
  int groups_per_token_;
  int group_size_;
  RandomStream random_;
  Scores scores_;
  Scores groups_;  // (-score, group)
  Scores candidates_;
};

/// Tokens of all ranks, one after the other, take the next num_topk entries of a shuffled list of
/// all experts, over and over. The list is shuffled anew where a token begins with its first entry:
/// so a token's experts are distinct, and no two experts differ by more than one row.
class Balanced {
 public:
  Balanced(const MoeShape& shape, const DrawingRank& who)
      : num_topk_(shape.num_topk),
        random_(who.seed, Purpose::kAllRanks),
        experts_(all_experts(shape)) {
    Experts of_other_ranks;
    for (std::int64_t token = 0; token < who.first_token; ++token) {
      of_other_ranks.clear();
      (*this)(of_other_ranks);
    }
  }

  void operator()(Experts& topk_idx) {
    if (next_ == 0) {
      shuffle_front(experts_.begin(), experts_.end(), static_cast<int>(experts_.size()), random_);
    }
    for (int k = 0; k < num_topk_; ++k) {
      topk_idx.push_back(experts_[next_]);
      next_ = (next_ + 1) % experts_.size();
    }
  }

 private:
  int num_topk_;
  RandomStream random_;
  Experts experts_;
  std::size_t next_ = 0;
};

/// base^exponent from products and square roots alone, which IEEE 754 rounds correctly, where
/// std::pow differs between libraries. The exponent counts in units of 2^-32.
double power(double base, double exponent) {
  const auto units = static_cast<std::uint64_t>(exponent * 0x1p32);
  double result = 1.0;
  for (int bit = 0; bit < 32; ++bit) {
    result = std::sqrt((units >> bit & 1) != 0 ? result * base : result);
  }
  for (std::uint64_t whole = units >> 32; whole > 0; --whole) result *= base;
  return result;
}

/// Weights are whole numbers, so that sums of those that are left are exact.
class Zipf {
 public:
  Zipf(const RoutingPattern& pattern, const MoeShape& shape, const DrawingRank& who)
      : num_topk_(shape.num_topk), random_(own_stream(who)), by_popularity_(all_experts(shape)) {
    RandomStream of_all(who.seed, Purpose::kAllRanks);
    shuffle_front(by_popularity_.begin(), by_popularity_.end(), shape.num_experts, of_all);
    for (int place = 1; place <= shape.num_experts; ++place) {
      weights_.push_back(static_cast<std::uint64_t>(0x1p52 / power(place, pattern.number)));
    }
  }

  void operator()(Experts& topk_idx) {
    left_ = weights_;
    std::uint64_t sum = std::accumulate(left_.begin(), left_.end(), std::uint64_t{0});
    for (int k = 0; k < num_topk_; ++k) {
      std::uint64_t at = random_.below(sum);
      std::size_t place = 0;
      while (at >= left_[place]) at -= left_[place++];
      topk_idx.push_back(by_popularity_[place]);
      sum -= std::exchange(left_[place], 0);
    }
  }

 private:
  int num_topk_;
  RandomStream random_;
  Experts by_popularity_;
  std::vector<std::uint64_t> weights_;  // by popularity
  std::vector<std::uint64_t> left_;     // of experts the token does not have yet
};

/// Experts that lie side by side, and how many tokens want as many of them as they can get; the
/// others want as few of them as they can.
struct Preference {
  int first = 0;
  int count = 0;
  double probability = 1.0;
};

Preference preference_of(const RoutingPattern& pattern, const MoeShape& shape, int rank) {
  using Kind = RoutingPattern::Kind;
  const int here = shape.num_local_experts();
  switch (pattern.kind) {
    case Kind::kHotExpert: return {.first = 0, .count = 1, .probability = pattern.number};
    case Kind::kHotRank: return {.first = 0, .count = here, .probability = pattern.number};
    case Kind::kLocal: return {.first = rank * here, .count = here};
    case Kind::kPermute: return {.first = (rank + 1) % shape.num_ranks * here, .count = here};
    case Kind::kRemote: return {.first = rank * here, .count = here, .probability = 0.0};
    default: break;
  }
  throw Error(ExitCode::kInternal, "routing " + to_string(pattern) + " has no drawer");
}

class Preferring {
 public:
  Preferring(const Preference& preference, const MoeShape& shape, const DrawingRank& who)
      : num_topk_(shape.num_topk),
        preference_(preference),
        random_(own_stream(who)),
        experts_(all_experts(shape)) {
    std::rotate(experts_.begin(), experts_.begin() + preference.first, experts_.end());
  }

  void operator()(Experts& topk_idx) {
    const auto middle = experts_.begin() + preference_.count;
    const bool wants = random_.uniform() < preference_.probability;
    const int few = num_topk_ - static_cast<int>(experts_.end() - middle);
    const int from_first = wants ? std::min(num_topk_, preference_.count) : std::max(few, 0);
    append(experts_.begin(), middle, from_first, topk_idx);
    append(middle, experts_.end(), num_topk_ - from_first, topk_idx);
  }

 private:
  void append(Experts::iterator first, Experts::iterator last, int count, Experts& topk_idx) {
    shuffle_front(first, last, count, random_);
    topk_idx.insert(topk_idx.end(), first, first + count);
  }

  int num_topk_;
  Preference preference_;
  RandomStream random_;
  Experts experts_;  // the preferred ones first
};

}  // namespace

ExpertDrawer make_drawer(const RoutingPattern& pattern, const MoeShape& shape,
                         const DrawingRank& who) {
  using Kind = RoutingPattern::Kind;
  switch (pattern.kind) {
    case Kind::kUniform: return Uniform(shape, who);
    case Kind::kBalanced: return Balanced(shape, who);
    case Kind::kZipf: return Zipf(pattern, shape, who);
    case Kind::kGroupLimited: return GroupLimited(pattern, shape, who);
    default: break;
  }
  return Preferring(preference_of(pattern, shape, who.rank), shape, who);
}

}  // namespace llep
