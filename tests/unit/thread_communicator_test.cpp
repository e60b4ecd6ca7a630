// SPDX-License-Identifier: MIT
#include "common/thread_communicator.hpp"

#include <array>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace llep {
namespace {

/// The message with which run_ranks ended; empty: it returned.
std::string failure(int size, const std::function<void(Communicator&)>& body) {
  try {
    run_ranks(size, body);
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

TEST(ThreadCommunicator, gathers_in_rank_order_round_after_round) {
  for (const int size : {1, 2, 3, 8}) {
    run_ranks(size, [&](Communicator& comm) {
      ASSERT_EQ(comm.size(), size);
      for (int round = 0; round < 200; ++round) {
        std::vector<int> expected(static_cast<std::size_t>(size));
        std::iota(expected.begin(), expected.end(), round * 100);
        ASSERT_EQ(gather_all(comm, round * 100 + comm.rank()), expected);
      }
    });
  }
}

TEST(ThreadCommunicator, barrier_orders_plain_memory) {
  std::array<int, 4> owned = {};
  run_ranks(4, [&](Communicator& comm) {
    for (int round = 1; round <= 100; ++round) {
      owned[static_cast<std::size_t>(comm.rank())] = round;
      comm.barrier();
      for (const int value : owned) ASSERT_EQ(value, round);
      comm.barrier();
    }
  });
}

TEST(ThreadCommunicator, gathers_nothing) {
  run_ranks(
      2, [](Communicator& comm) { EXPECT_TRUE(gather_all(comm, std::span<const int>()).empty()); });
}

TEST(ThreadCommunicator, unequal_shares_fail_on_every_rank) {
  run_ranks(3, [](Communicator& comm) {
    const std::vector<int> mine(comm.rank() == 2 ? 2 : 1);
    EXPECT_THROW(gather_all(comm, std::span<const int>(mine)), Error);
    comm.barrier();  // and the world is whole
  });
}

TEST(ThreadCommunicator, refuses_ranks_that_do_not_exist) {
  EXPECT_THROW(ThreadWorld(0), Error);
  ThreadWorld world(2);
  EXPECT_THROW(world.rank(2), Error);
  EXPECT_THROW(world.rank(-1), Error);
}

TEST(RunRanks, a_throwing_rank_frees_the_others_and_is_the_one_reported) {
  const auto body = [](Communicator& comm) {
    comm.barrier();
    if (comm.rank() == 2) throw std::runtime_error("cause");
    while (true) comm.barrier();
  };
  EXPECT_EQ(failure(4, body), "cause");
}

TEST(RunRanks, the_lowest_of_several_causes_is_reported) {
  const auto body = [](Communicator& comm) {
    comm.barrier();
    if (comm.rank() > 0) throw std::runtime_error("cause " + std::to_string(comm.rank()));
    comm.barrier();
  };
  EXPECT_EQ(failure(4, body), "cause 1");
}

TEST(RunRanks, a_rank_that_ends_early_frees_the_others) {
  const auto body = [](Communicator& comm) {
    if (comm.rank() == 1) return;
    comm.barrier();
  };
  EXPECT_EQ(failure(3, body), "rank 1 is gone: ended while others waited for it");
}

TEST(RunRanks, leaving_right_after_the_last_collective_harms_nobody) {
  for (int round = 0; round < 200; ++round) {
    EXPECT_EQ(failure(3, [](Communicator& comm) { comm.barrier(); }), "");
  }
}

TEST(RunRanks, exceptions_that_are_no_std_exception_pass_through) {
  const auto body = [](Communicator& comm) {
    if (comm.rank() == 1) throw 7;
    comm.barrier();
  };
  EXPECT_THROW(run_ranks(2, body), int);
}

TEST(ThreadCommunicatorDeathTest, abort_ends_the_process_with_the_code) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto body = [](Communicator& comm) {
    if (comm.rank() == 1) comm.abort(ExitCode::kDeadline);
    comm.barrier();
  };
  EXPECT_EXIT(run_ranks(2, body), testing::ExitedWithCode(4), "^$");
}

}  // namespace
}  // namespace llep
