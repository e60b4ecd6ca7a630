// SPDX-License-Identifier: MIT
#include "bench/case_errors.hpp"

#include <gtest/gtest.h>

#include "common/thread_communicator.hpp"

namespace llep {
namespace {

TEST(CaseErrors, AFaultNamesWhoWaitedForWhat) {
  const FaultRecord fault{.phase = WaitPhase::kDispatchRow,
                          .rank = 0,
                          .peer = 1,
                          .expert = 3,
                          .token = 7,
                          .expected = 6,
                          .seen = 4};
  const ErrorRecord error = error_of(fault, 500);
  EXPECT_EQ(error.message,
            "rank 0: dispatch: row: waited 500 ms for rank 1, expert 3, token 7: expected epoch 6, "
            "seen 4");
  EXPECT_EQ(error.phase, "dispatch: row");
  EXPECT_EQ(error.peer, 1);
  EXPECT_EQ(error.token, 7);
  EXPECT_EQ(std::get<std::uint64_t>(error.expected), 6U);
  EXPECT_FALSE(error.row.has_value());
}

TEST(CaseErrors, WhatAnAdapterDidNotDoIsSaidInItsWords) {
  const FaultRecord room{.phase = WaitPhase::kIbgdaRoom,
                         .rank = 1,
                         .peer = 0,
                         .expected = 70,
                         .seen = 16};
  EXPECT_EQ(describe(room, 500),
            "rank 1: ibgda: room in a send queue: waited 500 ms for the adapter to complete 70 "
            "entries to rank 0, it has completed 16; does it hear its doorbells?");
  const FaultRecord error{.phase = WaitPhase::kIbgdaError,
                          .rank = 1,
                          .peer = 0,
                          .expected = 8,
                          .seen = 0x8813};
  EXPECT_EQ(describe(error, 500),
            "rank 1: ibgda: completion with an error: to rank 0, entry's opcode 0x8, syndrome 0x13 "
            "(vendor's 0x88)");
}

TEST(CaseErrors, WhatDoesNotApplyStaysEmpty) {
  const FaultRecord fault{.phase = WaitPhase::kCombineBegin, .rank = 2, .peer = 0};
  const ErrorRecord error = error_of(fault, 1.5);
  EXPECT_EQ(error.message,
            "rank 2: combine: begin: waited 1.5 ms for rank 0: expected epoch 0, seen 0");
  EXPECT_FALSE(error.expert.has_value());
  EXPECT_FALSE(error.token.has_value());
}

TEST(CaseErrors, MismatchesOfAllRanksAreWholeOnEachOfThem) {
  run_ranks(3, [](Communicator& world) {
    std::optional<Mismatch> mine;
    if (world.rank() != 1) {
      mine = Mismatch{.what = "dispatch",
                      .rank = world.rank(),
                      .expert = 5,
                      .row = 2,
                      .source = 1,
                      .token = 9,
                      .column = 0,
                      .expected = "0x3f80 (1.0)",
                      .seen = "0x7fff (nan)"};
    }
    const auto errors = gather_errors(world, "dispatch: check", mine);
    ASSERT_EQ(errors.size(), 2U);
    EXPECT_EQ(errors[0].rank, 0);
    EXPECT_EQ(errors[1].rank, 2);
    EXPECT_EQ(errors[1].peer, 1);
    EXPECT_EQ(errors[1].token, 9);
    EXPECT_EQ(std::get<std::string>(errors[1].expected), "0x3f80 (1.0)");
    EXPECT_EQ(std::get<std::string>(errors[1].seen), "0x7fff (nan)");
    EXPECT_NE(errors[1].message.find("rank 2: dispatch: expert 5 row 2"), std::string::npos);
    EXPECT_TRUE(gather_errors(world, "combine: check", {}).empty());
  });
}

}  // namespace
}  // namespace llep
