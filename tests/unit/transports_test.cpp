// SPDX-License-Identifier: MIT
#include "bench/transports.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace llep {
namespace {

/// Ranks on two machines, in turn.
Nodes dealt_out(int ranks_per_node) {
  RunOptions options;
  options.ranks_per_node = ranks_per_node;
  return nodes_of({.num_nodes = 2, .nodes = {0, 1, 0, 1}}, options);
}

TEST(Nodes, AreRealUnlessPretended) {
  EXPECT_EQ(dealt_out(0).of_rank, (std::vector{0, 1, 0, 1}));
  EXPECT_FALSE(dealt_out(0).pretended);
}

TEST(Nodes, APretendedOneHoldsRanksOfOneMachineOnly) {
  EXPECT_EQ(dealt_out(4).of_rank, (std::vector{0, 1, 0, 1}));
  EXPECT_EQ(dealt_out(4).num_nodes, 2);
  EXPECT_FALSE(dealt_out(4).pretended);
  EXPECT_EQ(dealt_out(2).of_rank, (std::vector{0, 1, 2, 3}));
  EXPECT_EQ(dealt_out(2).num_nodes, 4);
  EXPECT_TRUE(dealt_out(2).pretended);
}

TEST(Nodes, NeighboursShareAPretendedOne) {
  RunOptions options;
  options.ranks_per_node = 2;
  const Nodes nodes = nodes_of({.num_nodes = 1, .nodes = {0, 0, 0, 0, 0}}, options);
  EXPECT_EQ(nodes.of_rank, (std::vector{0, 0, 1, 1, 2}));
  EXPECT_EQ(nodes.near("hybrid-fifo", 3), (std::vector{false, false, true, true, false}));
  EXPECT_EQ(nodes.near("fifo", 3), (std::vector{false, false, false, true, false}));
  EXPECT_TRUE(nodes.pretended);
}

}  // namespace
}  // namespace llep
