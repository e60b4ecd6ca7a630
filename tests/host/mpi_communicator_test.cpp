// SPDX-License-Identifier: MIT
// Runs under mpirun -np 1..4. With an argument it plays one way for a run to end badly instead;
// mpirun must then end in time and with the code of the ExitCode given in each case's comment.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/mpi_session.hpp"
#include "common/watchdog.hpp"
#include "tests/mpi_main.hpp"

namespace llep {
namespace {

using namespace std::chrono_literals;

std::byte pattern(int rank, std::size_t i) {
  return static_cast<std::byte>(i * 131 + (i >> 16) + static_cast<std::size_t>(rank) * 17);
}

/// Gathers `share` bytes of each rank and counts the bytes that are wrong.
std::size_t wrong_bytes(Communicator& comm, std::size_t share) {
  std::vector<std::byte> mine(share);
  for (std::size_t i = 0; i < share; ++i) mine[i] = pattern(comm.rank(), i);
  const std::vector<std::byte> all = gather_all(comm, std::span<const std::byte>(mine));
  std::size_t wrong = 0;
  for (int rank = 0; rank < comm.size(); ++rank) {
    const std::byte* theirs = all.data() + static_cast<std::size_t>(rank) * share;
    for (std::size_t i = 0; i < share; ++i) wrong += theirs[i] != pattern(rank, i) ? 1 : 0;
  }
  return wrong;
}

TEST(MpiCommunicator, gathers_in_rank_order) {
  MpiCommunicator world = MpiCommunicator::world();
  const std::vector<int> ranks = gather_all(world, world.rank());
  ASSERT_EQ(ranks.size(), static_cast<std::size_t>(world.size()));
  for (int rank = 0; rank < world.size(); ++rank) {
    EXPECT_EQ(ranks[static_cast<std::size_t>(rank)], rank);
  }
  world.barrier();
}

TEST(MpiCommunicator, gathers_nothing_little_and_more_than_one_piece) {
  MpiCommunicator world = MpiCommunicator::world();
  constexpr std::size_t kPiece = std::size_t{64} << 20;
  for (const std::size_t share : {std::size_t{0}, std::size_t{1}, std::size_t{4099}, kPiece + 5}) {
    EXPECT_EQ(wrong_bytes(world, share), 0U) << share;
  }
}

TEST(MpiCommunicator, gathers_more_than_an_int_counts) {
  if (std::getenv("LLEP_LONG_TESTS") == nullptr) {
    GTEST_SKIP() << "takes 2 GiB * (ranks + 1) per rank: set LLEP_LONG_TESTS";
  }
  MpiCommunicator world = MpiCommunicator::world();
  EXPECT_EQ(wrong_bytes(world, (std::size_t{1} << 31) + 3), 0U);
}

TEST(MpiCommunicator, refuses_room_of_the_wrong_size) {
  MpiCommunicator world = MpiCommunicator::world();
  const std::vector<std::byte> mine(8);
  std::vector<std::byte> all(mine.size() * static_cast<std::size_t>(world.size()) + 1);
  EXPECT_THROW(world.all_gather(mine, all), Error);
}

TEST(MpiCommunicator, mpis_own_errors_are_thrown_in_its_words) {
  MpiCommunicator first = MpiCommunicator::world();
  MpiCommunicator second = std::move(first);
  second.barrier();
  try {
    first.barrier();  // NOLINT(bugprone-use-after-move): MPI refuses the null communicator
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kInternal);
    EXPECT_EQ(std::string(error.what()).find("MPI_Barrier: MPI_ERR_COMM"), 0U) << error.what();
  }
}

TEST(MpiCommunicator, a_failure_of_the_last_rank_is_everybodys) {
  MpiCommunicator world = MpiCommunicator::world();
  const int last = world.size() - 1;
  const std::string novel(70'000, 'n');
  try {
    collectively(world, [&] {
      if (world.rank() == last) throw Error(ExitCode::kUnavailable, novel);
    });
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUnavailable);
    EXPECT_EQ(error.what(), last == 0 ? novel : "rank " + std::to_string(last) + ": " + novel);
  }
}

TEST(NodeInfo, one_node_holds_all_ranks_of_this_test) {
  MpiCommunicator world = MpiCommunicator::world();
  const NodeInfo info = node_info(world);
  EXPECT_EQ(info.local_rank, world.rank());
  EXPECT_EQ(info.local_size, world.size());
  EXPECT_EQ(info.nodes, std::vector<int>(static_cast<std::size_t>(world.size()), 0));
  EXPECT_EQ(info.num_nodes, 1);
}

int play(std::string_view ending) {
  MpiSession session(ending == "lonely-end" ? 500ms : 60s);
  MpiCommunicator world = MpiCommunicator::world();
  world.barrier();
  const bool first = world.rank() == 0;
  if (ending == "abort") {  // kUnavailable, while the others wait for this rank
    if (first) world.abort(ExitCode::kUnavailable);
    world.barrier();
  } else if (ending == "abort-from-thread") {  // kWrongData, while this rank ends by itself
    std::thread([&] { world.abort(ExitCode::kWrongData); }).detach();
    std::this_thread::sleep_for(first ? 5ms : 1h);
  } else if (ending == "lonely-end") {  // kDeadline: an error that was never agreed upon
    if (!first) std::this_thread::sleep_for(1h);
  } else if (ending == "watchdog") {  // kDeadline: one rank never comes
    Watchdog watchdog(world.rank(), [&](ExitCode code) { world.abort(code); });
    const auto guard = watchdog.guard(first ? 1h : 500ms, "barrier");
    if (first) std::this_thread::sleep_for(1h);
    world.barrier();
  } else if (ending == "agreed") {  // kUsage: every rank unwinds and MPI ends in order
    try {
      collectively(world, [&] {
        if (first) throw Error(ExitCode::kUsage, "no");
      });
    } catch (const Error& error) {
      return static_cast<int>(error.code());
    }
  }
  return 99;
}

}  // namespace
}  // namespace llep

int main(int argc, char** argv) {
  if (argc > 1) return llep::play(argv[1]);
  return llep::run_mpi_tests(argc, argv);
}
