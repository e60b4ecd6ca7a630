// SPDX-License-Identifier: MIT
#include "common/communicator.hpp"

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/thread_communicator.hpp"

namespace llep {
namespace {

/// What a rank saw of a collective failure.
struct Seen {
  int code = 0;
  std::string message;
  friend bool operator==(const Seen&, const Seen&) = default;
};

/// Runs `local` collectively on `size` ranks and returns what each of them caught.
std::vector<Seen> caught(int size, const std::function<void(int)>& local) {
  std::vector<Seen> seen(static_cast<std::size_t>(size));
  run_ranks(size, [&](Communicator& comm) {
    try {
      collectively(comm, [&] { local(comm.rank()); });
    } catch (const Error& error) {
      seen[static_cast<std::size_t>(comm.rank())] = {static_cast<int>(error.code()), error.what()};
    }
  });
  return seen;
}

TEST(Collectively, returns_everywhere_if_nobody_fails) {
  EXPECT_EQ(caught(3, [](int) {}), std::vector<Seen>(3));
}

TEST(Collectively, every_rank_throws_the_lowest_failing_ranks_error) {
  const auto seen = caught(4, [](int rank) {
    if (rank == 2) throw Error(ExitCode::kUnavailable, "opening a device: none, attach one");
    if (rank == 3) throw Error(ExitCode::kUsage, "something else");
  });
  EXPECT_EQ(seen, std::vector<Seen>(4, {5, "rank 2: opening a device: none, attach one"}));
}

TEST(Collectively, other_exceptions_are_internal_errors) {
  const auto standard = caught(2, [](int rank) {
    if (rank == 1) throw std::out_of_range("beyond");
  });
  EXPECT_EQ(standard, std::vector<Seen>(2, {1, "rank 1: beyond"}));
  const auto odd = caught(2, [](int rank) {
    if (rank == 0) throw 7;
  });
  EXPECT_EQ(odd, std::vector<Seen>(2, {1, "rank 0: an exception that is no std::exception"}));
}

TEST(Collectively, messages_may_be_long_or_empty) {
  const std::string novel(100'000, 'x');
  const auto fail = [&](const std::string& message) {
    return caught(3, [&](int rank) {
      if (rank == 1) throw Error(ExitCode::kUsage, message);
    });
  };
  EXPECT_EQ(fail(novel), std::vector<Seen>(3, {2, "rank 1: " + novel}));
  EXPECT_EQ(fail(""), std::vector<Seen>(3, {2, "rank 1: "}));
}

TEST(Collectively, a_single_rank_is_not_named) {
  EXPECT_EQ(caught(1, [](int) { throw Error(ExitCode::kUsage, "no"); })[0], (Seen{2, "no"}));
}

TEST(Collectively, can_be_used_again_after_a_failure) {
  run_ranks(3, [](Communicator& comm) {
    for (int failing = 0; failing < comm.size(); ++failing) {
      const auto f = [&] {
        if (comm.rank() == failing) throw Error(ExitCode::kUsage, "no");
      };
      EXPECT_THROW(collectively(comm, f), Error);
      collectively(comm, [] {});
    }
  });
}

TEST(Agree, fails_even_if_the_code_says_ok) {
  run_ranks(2, [](Communicator& comm) {
    const Error error(ExitCode::kOk, "odd");
    EXPECT_THROW(agree(comm, comm.rank() == 1 ? &error : nullptr), Error);
    agree(comm, nullptr);
  });
}

TEST(GatherStrings, keeps_lengths_and_embedded_zeros) {
  const std::vector<std::string> words = {"", std::string("a\0b", 3), std::string(5000, 'z')};
  run_ranks(3, [&](Communicator& comm) {
    EXPECT_EQ(gather_strings(comm, words[static_cast<std::size_t>(comm.rank())]), words);
    EXPECT_EQ(gather_strings(comm, ""), std::vector<std::string>(3));
  });
}

}  // namespace
}  // namespace llep
