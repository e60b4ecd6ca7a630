// SPDX-License-Identifier: MIT
// Routings that kernels must survive: hot experts, nothing at all, ids that are none.
#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/host/thread_ranks.hpp"

namespace llep {
namespace {

using ExpertOf = std::function<std::int64_t(int token, int k)>;

RankRouting routing_of(const MoeShape& shape, int num_tokens, const ExpertOf& expert) {
  RankRouting routing{.num_tokens = num_tokens, .topk_idx = {}, .weights = {}};
  for (int token = 0; token < num_tokens; ++token) {
    for (int k = 0; k < shape.num_topk; ++k) {
      routing.topk_idx.push_back(expert(token, k));
      routing.weights.push_back(0.25F * static_cast<float>(k + 1));
    }
  }
  return routing;
}

/// Why UndefinedBehaviorSanitizer ends a case with a rank without tokens.
#if defined(__SANITIZE_ADDRESS__)
constexpr const char* kNoEmptyCopies = "the host device copies nothing from a null pointer";
#else
constexpr const char* kNoEmptyCopies = nullptr;
#endif

constexpr MoeShape kShape = {
    .num_ranks = 3, .num_experts = 6, .max_tokens = 7, .hidden = 384, .num_topk = 3};

/// Runs chained ops with one routing over every kind of window, all blocks at once and one by one.
void expect_right(const MoeShape& shape, const std::function<RankRouting(int)>& routing) {
  for (const auto dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
    for (const auto copies : {DispatchCopies::kRank, DispatchCopies::kSelection}) {
      for (const int concurrent : {0, 1}) {
        with_ranks({.axes = {.shape = shape, .dtype = dtype, .copies = copies},
                    .device = {.num_blocks = 3,
                               .warps_per_block = 2,
                               .concurrent_blocks = concurrent,
                               .shuffle_seed = 4},
                    .routing = routing},
                   [](ThreadRank& rank) {
                     rank.chain("dcdccd", Phases::kFused);
                     rank.chain("ddc", Phases::kSplit, 50);
                   });
      }
    }
  }
}

TEST(HardRoutings, one_hot_expert) {
  expect_right(kShape, [](int rank) {
    return routing_of(kShape, kShape.max_tokens, [&](int token, int k) {
      return k == 0 ? 0 : 1 + (token + rank + k) % (kShape.num_experts - 1);
    });
  });
}

TEST(HardRoutings, one_hot_rank_that_is_the_last) {
  constexpr MoeShape kAllLocal = {
      .num_ranks = 2, .num_experts = 6, .max_tokens = 5, .hidden = 128, .num_topk = 3};
  expect_right(kAllLocal, [=](int rank) {
    return routing_of(kAllLocal, kAllLocal.max_tokens,
                      [&](int token, int k) { return 3 + (token + rank + k) % 3; });
  });
}

TEST(HardRoutings, everything_masked) {
  expect_right(kShape, [](int) {
    return routing_of(kShape, kShape.max_tokens, [](int, int) { return -1; });
  });
}

TEST(HardRoutings, one_selection_in_all) {
  expect_right(kShape, [](int rank) {
    return routing_of(kShape, kShape.max_tokens, [&](int token, int k) {
      return rank == 2 && token == kShape.max_tokens - 1 && k == 2 ? 1 : -1;
    });
  });
}

TEST(HardRoutings, ranks_without_tokens) {
  if (kNoEmptyCopies != nullptr) GTEST_SKIP() << kNoEmptyCopies;
  for (const int busy : {-1, 0, 1, 2}) {
    expect_right(kShape, [=](int rank) {
      return routing_of(kShape, rank == busy ? kShape.max_tokens : 0,
                        [](int token, int k) { return (token + 2 * k) % kShape.num_experts; });
    });
  }
}

TEST(HardRoutings, each_rank_another_number_of_tokens) {
  if (kNoEmptyCopies != nullptr) GTEST_SKIP() << kNoEmptyCopies;
  expect_right(kShape, [](int rank) {
    return routing_of(kShape, 3 * rank, [&](int token, int k) {
      return (token * 5 + k + rank) % kShape.num_experts;
    });
  });
}

TEST(HardRoutings, another_one_in_every_iteration) {
  for (const auto dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
    with_ranks({.axes = {.shape = kShape, .dtype = dtype}}, [](ThreadRank& rank) {
      RoutingSpec spec{.pattern = parse_routing("zipf:2")};
      for (spec.iteration = 0; spec.iteration < 4; ++spec.iteration) {
        rank.run().reroute(make_routing(kShape, spec, rank.rank()));
        rank.chain("dcdc", Phases::kFused, 10 * static_cast<std::uint64_t>(spec.iteration));
      }
    });
  }
}

/// Ids of no expert: some whose low 32 bits are one's.
constexpr std::int64_t kNoExperts[] = {-7,
                                       kShape.num_experts,
                                       std::int64_t{1} << 40,
                                       (std::int64_t{1} << 40) + 2,
                                       (std::int64_t{1} << 32) + 5,
                                       -(std::int64_t{1} << 40) + 1,
                                       (1 << 16) + 3,
                                       std::numeric_limits<std::int64_t>::min(),
                                       std::numeric_limits<std::int64_t>::max()};
std::int64_t no_expert(int i) {
  return kNoExperts[static_cast<std::size_t>(i) % std::size(kNoExperts)];
}

TEST(HardRoutings, ids_out_of_range_are_not_dispatched) {
  for (const auto dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
    for (const auto copies : {DispatchCopies::kRank, DispatchCopies::kSelection}) {
      with_ranks({.axes = {.shape = kShape, .dtype = dtype, .copies = copies},
                  .routing =
                      [](int rank) {
                        return routing_of(kShape, kShape.max_tokens, [&](int token, int k) {
                          return (token + k) % 2 == 0
                                     ? no_expert(token * 3 + k + rank)
                                     : std::int64_t{(token + rank + 2 * k) % kShape.num_experts};
                        });
                      }},
                 [](ThreadRank& rank) { rank.chain("ddd", Phases::kFused); });
    }
  }
}

const HeapField& field(const PlannedLayout& plan, const std::string& name) {
  const auto& fields = plan.fields.fields();
  return *std::find_if(fields.begin(), fields.end(),
                       [&](const HeapField& one) { return one.name == name; });
}

/// Bytes of a heap field that are not zero.
std::ptrdiff_t num_written(ThreadRank& rank, const std::string& name) {
  const HeapField& where = field(rank.plan(), name);
  const std::byte* begin = rank.heap().base() + where.offset;
  return static_cast<std::ptrdiff_t>(where.bytes) -
         std::count(begin, begin + where.bytes, std::byte{0});
}

TEST(HardRoutings, nothing_is_sent_for_ids_out_of_range) {
  for (const auto copies : {DispatchCopies::kRank, DispatchCopies::kSelection}) {
    with_ranks({.axes = {.shape = kShape, .copies = copies},
                .routing =
                    [](int rank) {
                      return routing_of(kShape, kShape.max_tokens, [&](int token, int k) {
                        return no_expert(token * kShape.num_topk + k + rank);
                      });
                    }},
               [](ThreadRank& rank) {
                 rank.chain("dd", Phases::kFused);
                 rank.combine(Phases::kFused);
                 rank.combine(Phases::kSplit);
                 EXPECT_EQ(rank.fault().phase, WaitPhase::kNone);
                 rank.world().barrier();
                 for (const char* name : {"dispatch signals", "dispatch window",
                                          "combine signals", "combine window"}) {
                   EXPECT_EQ(num_written(rank, name), 0) << name;
                 }
               });
  }
}

TEST(HardRoutings, a_duplicate_selection_with_room_is_like_any_other) {
  // Each copy of a token has a slot where a rank has at least as many experts as there are
  // selections, and with one copy a rank.
  constexpr MoeShape kRoomy = {
      .num_ranks = 2, .num_experts = 8, .max_tokens = 6, .hidden = 256, .num_topk = 4};
  expect_right(kRoomy, [=](int rank) {
    return routing_of(kRoomy, kRoomy.max_tokens, [&](int token, int k) {
      const int first = (token + rank) % 5;
      return k < 2 ? first : first + k;  // the first expert twice
    });
  });
}

/// Windows, not words, hold what an earlier case or another program left.
void litter(ThreadRank& rank, int seed) {
  const std::uint64_t first = rank.plan().layout.words_end();
  std::mt19937 random(static_cast<unsigned>(seed * 8 + rank.rank()));
  std::byte* at = rank.heap().base() + first;
  for (; at < rank.heap().base() + rank.heap().bytes(); ++at) {
    *at = seed == 0 ? std::byte{0xff} : static_cast<std::byte>(random());
  }
  rank.world().barrier();
}

TEST(HardRoutings, what_windows_held_before_does_not_matter) {
  for (const auto dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
    for (const int seed : {0, 1, 2}) {
      with_ranks({.axes = {.shape = kShape, .dtype = dtype,
                           .copies = DispatchCopies::kSelection}},
                 [&](ThreadRank& rank) {
                   litter(rank, seed);
                   rank.chain("dcdcd", Phases::kFused);
                 });
    }
  }
}

}  // namespace
}  // namespace llep
