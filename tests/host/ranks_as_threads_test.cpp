// SPDX-License-Identifier: MIT
// Dispatch and combine of several ranks over ipc, for every kind of window, launch and grid. Every
// row of every op is judged; ranks meet only through the ops themselves.
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "tests/host/thread_ranks.hpp"

namespace llep {
namespace {

/// Grids of every kind: one block at a time proves that no block needs a later one to run.
std::vector<HostDeviceOptions> grids() {
  return {{.num_blocks = 2, .warps_per_block = 4},
          {.num_blocks = 5, .warps_per_block = 1, .concurrent_blocks = 1, .shuffle_seed = 3},
          {.num_blocks = 3,
           .warps_per_block = 2,
           .concurrent_blocks = 1,
           .shuffle_seed = 11,
           .reverse_lanes = true},
          {.num_blocks = 1, .warps_per_block = 5, .reverse_lanes = true},
          {.num_blocks = 4, .warps_per_block = 3, .concurrent_blocks = 2, .shuffle_seed = 5}};
}

std::vector<int> rank_counts() {
  if (kThreadSanitizer) return {1, 2, 3, 4};
  return {1, 2, 3, 4, 5, 7, 8};
}

MoeShape small_shape(int num_ranks) {
  return {.num_ranks = num_ranks,
          .num_experts = 3 * num_ranks,
          .max_tokens = 7,
          .hidden = 512,
          .num_topk = num_ranks == 1 ? 2 : 5};  // no multiple of what kernels read at once
}

using Axes = std::tuple<int, DispatchDtype, DispatchCopies, Phases>;

class EveryGrid : public testing::TestWithParam<Axes> {
 protected:
  RanksSetup setup() const {
    return {.axes = {.shape = small_shape(std::get<0>(GetParam())),
                     .dtype = std::get<1>(GetParam()),
                     .copies = std::get<2>(GetParam())}};
  }
  Phases phases() const { return std::get<3>(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(
    RanksAsThreads, EveryGrid,
    testing::Combine(testing::ValuesIn(rank_counts()),
                     testing::Values(DispatchDtype::kBf16, DispatchDtype::kFp8),
                     testing::Values(DispatchCopies::kRank, DispatchCopies::kSelection),
                     testing::Values(Phases::kFused, Phases::kSplit)),
    [](const auto& one) {
      return "R" + std::to_string(std::get<0>(one.param)) + "_" +
             to_string(std::get<1>(one.param)) + "_" + to_string(std::get<2>(one.param)) + "_" +
             to_string(std::get<3>(one.param));
    });

TEST_P(EveryGrid, chained_ops_are_right_every_time) {
  // Both buffers of both kinds, several times over, in every order of the two kinds.
  const char* chains[] = {"dcdcdcdc", "dddddc", "dccccc", "dcddccdc", "dcdc"};
  RanksSetup all = setup();
  for (std::size_t i = 0; i < grids().size(); ++i) {
    all.device = grids()[i];
    with_ranks(all, [&](ThreadRank& rank) { rank.chain(chains[i], phases()); });
  }
}

TEST_P(EveryGrid, the_inputs_of_a_zero_copy_combine_lie_in_the_heap) {
  RanksSetup all = setup();
  all.axes.zero_copy = true;
  all.device = grids()[2];
  with_ranks(all, [&](ThreadRank& rank) { rank.chain("dcdcc", phases()); });
}

TEST_P(EveryGrid, rows_travel_through_a_fifo) {
  const LoopFifo fifos[] = {{},
                            {.num_proxies = 2, .channels_per_peer = 3},
                            {.num_proxies = 3, .channels_per_peer = 2, .ranks_per_node = 2},
                            {.ranks_per_node = 2, .depth = 2}};
  for (std::size_t i = 0; i < std::size(fifos); ++i) {
    RanksSetup all = setup();
    all.fifo = fifos[i];
    all.device = grids()[i];
    with_ranks(all, [&](ThreadRank& rank) { rank.chain("dcddccdc", phases()); });
    all.axes.zero_copy = true;
    with_ranks(all, [&](ThreadRank& rank) { rank.chain("dcdcc", phases()); });
  }
}

TEST(Grids, blocks_and_warps_of_any_number) {
  for (const int blocks : {1, 2, 5}) {
    for (const int warps : {1, 2, 3, 4, 5}) {
      for (const int concurrent : {0, 1}) {
        for (const DispatchDtype dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
          with_ranks({.axes = {.shape = small_shape(2), .dtype = dtype},
                      .device = {.num_blocks = blocks,
                                 .warps_per_block = warps,
                                 .concurrent_blocks = concurrent,
                                 .shuffle_seed = 9}},
                     [](ThreadRank& rank) {
                       rank.chain("dcd", Phases::kFused);
                       rank.chain("dcc", Phases::kSplit, 100);
                     });
        }
      }
    }
  }
}

/// Shapes at the edges of what kernels cut rows and tables into.
TEST(Shapes, odd_ones) {
  const std::vector<MoeShape> shapes = {
      {.num_ranks = 2, .num_experts = 2, .max_tokens = 1, .hidden = 128, .num_topk = 1},
      {.num_ranks = 2, .num_experts = 6, .max_tokens = 5, .hidden = 384, .num_topk = 5},
      {.num_ranks = 3, .num_experts = 33, .max_tokens = 3, .hidden = 128, .num_topk = 32},
      {.num_ranks = 2, .num_experts = 2, .max_tokens = 33, .hidden = 128, .num_topk = 2},
      {.num_ranks = 1, .num_experts = 40, .max_tokens = 9, .hidden = 256, .num_topk = 32},
      {.num_ranks = 2, .num_experts = 512, .max_tokens = 130, .hidden = 128, .num_topk = 9}};
  for (const MoeShape& shape : shapes) {
    for (const auto dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
      for (const auto copies : {DispatchCopies::kRank, DispatchCopies::kSelection}) {
        for (const HostDeviceOptions& grid : {grids()[0], grids()[1]}) {
          with_ranks({.axes = {.shape = shape, .dtype = dtype, .copies = copies}, .device = grid},
                     [](ThreadRank& rank) { rank.chain("dcdc", Phases::kFused); });
        }
      }
    }
  }
}

TEST(Shapes, rows_wider_than_a_stage) {
  if (kThreadSanitizer) GTEST_SKIP() << "wide rows take ThreadSanitizer too long";
  for (const int hidden : {1408, 7168, 9216, 16384}) {
    for (const auto dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
      for (const Phases phases : {Phases::kFused, Phases::kSplit}) {
        with_ranks({.axes = {.shape = {.num_ranks = 2,
                                       .num_experts = 4,
                                       .max_tokens = 3,
                                       .hidden = hidden,
                                       .num_topk = 3},
                             .dtype = dtype}},
                   [&](ThreadRank& rank) { rank.chain("dcdc", phases); });
      }
    }
  }
}

TEST(Shapes, wide_rows_of_an_odd_number_of_groups) {
  if (kThreadSanitizer) GTEST_SKIP() << "wide rows take ThreadSanitizer too long";
  for (const int hidden : {73 * 128, 127 * 128}) {
    for (const auto dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
      with_ranks({.axes = {.shape = {.num_ranks = 2,
                                     .num_experts = 2,
                                     .max_tokens = 2,
                                     .hidden = hidden,
                                     .num_topk = 2},
                           .dtype = dtype}},
                 [&](ThreadRank& rank) { rank.chain("dcdc", Phases::kFused); });
    }
  }
}

}  // namespace
}  // namespace llep
