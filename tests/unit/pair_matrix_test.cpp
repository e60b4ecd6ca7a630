// SPDX-License-Identifier: MIT
// Floors of pairs as people read them.
#include "bench/pair_matrix.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "bench/report_table.hpp"

namespace llep {
namespace {

/// The best round takes `us`: two trips, or one message.
Floor pair(ProbeKind probe, int num_ranks, int from, int to, double us) {
  return {.transport = "ipc",
          .probe = probe,
          .num_ranks = num_ranks,
          .from = from,
          .to = to,
          .bytes = 1000,
          .trips = 2,
          .round_us = {2 * us, us, 3 * us}};
}

TEST(PairMatrix, has_rows_from_and_columns_to) {
  // GB/s: 1000 bytes in 1, 8 and 0.001 us; of 0 to 2 nothing is known.
  EXPECT_EQ(pair_matrix({pair(ProbeKind::kPutStream, 3, 0, 1, 1.0),
                         pair(ProbeKind::kPutStream, 3, 2, 0, 8.0),
                         pair(ProbeKind::kPutStream, 3, 1, 2, 0.001)}),
            "put_stream, 1000 bytes, GB/s, the best of 3 samples\n"
            "  from   to 0   to 1   to 2\n"
            "     0      -   1.00      -\n"
            "     1      -      - 1000.0\n"
            "     2  0.125      -      -\n");
}

TEST(PairMatrix, of_flags_holds_both_ways) {
  EXPECT_EQ(pair_matrix(
                {pair(ProbeKind::kFlag, 3, 0, 1, 3.0), pair(ProbeKind::kFlag, 3, 1, 2, 25'000.0)}),
            "flag, us one way, the best of 3 samples\n"
            "  from   to 0   to 1   to 2\n"
            "     0      -   1.50      -\n"
            "     1   1.50      -  12500\n"
            "     2      -  12500      -\n");
}

std::vector<Floor> all_pairs(int num_ranks, ProbeKind probe) {
  std::vector<Floor> pairs;
  for (int from = 0; from < num_ranks; ++from) {
    for (int to = 0; to < num_ranks; ++to) {
      if (from != to) pairs.push_back(pair(probe, num_ranks, from, to, 2.0 + from + to / 100.0));
    }
  }
  return pairs;
}

TEST(PairMatrix, of_many_ranks_is_their_spread) {
  const std::string sixteen = pair_matrix(all_pairs(16, ProbeKind::kFlag));
  EXPECT_EQ(std::count(sixteen.begin(), sixteen.end(), '\n'), 18);
  EXPECT_LE(sixteen.find('\n', sixteen.find('\n') + 1) - sixteen.find('\n') - 1,
            static_cast<std::size_t>(kTableWidth));
  EXPECT_EQ(pair_matrix(all_pairs(17, ProbeKind::kFlag)),
            "flag, us one way, the best of 3 samples\n"
            "  272 pairs: min 1.00, median 5.04, max 9.07; slowest: 16 <-> 15 9.07, 16 <-> 14 "
            "9.07, 16 <-> 13 9.06, 16 <-> 12 9.06,\n  16 <-> 11 9.05\n");
  // The slowest stream is the one with the fewest bytes a second.
  EXPECT_NE(pair_matrix(all_pairs(17, ProbeKind::kPutStream)).find("slowest: 16 -> 15 0.0551,"),
            std::string::npos);
}

TEST(PairMatrix, of_one_rank_is_nothing) { EXPECT_EQ(pair_matrix({}), ""); }

}  // namespace
}  // namespace llep
