// SPDX-License-Identifier: MIT
#include "transport/fifo/completed_prefix.hpp"

#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace llep {
namespace {

TEST(CompletedPrefix, is_all_that_was_taken_while_nothing_is_open) {
  CompletedPrefix prefix;
  EXPECT_EQ(prefix.position(0), 0U);
  EXPECT_EQ(prefix.position(7), 7U);
}

TEST(CompletedPrefix, ends_where_the_oldest_open_group_begins) {
  CompletedPrefix prefix;
  const auto a = prefix.open(3);
  const auto b = prefix.open(5);
  const auto c = prefix.open(5);
  EXPECT_EQ(prefix.position(9), 3U);
  prefix.complete(b);
  EXPECT_EQ(prefix.position(9), 3U);
  prefix.complete(a);
  EXPECT_EQ(prefix.position(9), 5U);
  prefix.complete(c);
  EXPECT_EQ(prefix.position(9), 9U);
}

/// Work of several queues that each complete in order, in groups, at any time.
TEST(CompletedPrefix, never_counts_work_that_is_under_way) {
  struct Group {
    std::uint64_t number;
    std::uint64_t first;
  };
  std::mt19937 random(5);
  CompletedPrefix prefix;
  std::vector<std::vector<Group>> queues(5);
  std::uint64_t end = 0;
  for (int step = 0; step < 20'000; ++step) {
    auto& queue = queues[random() % queues.size()];
    if (random() % 2 == 0) {
      if (queue.empty() || random() % 3 == 0) queue.push_back({prefix.open(end), end});
      ++end;  // else one more work of the queue's last group
    } else if (!queue.empty()) {
      prefix.complete(queue.front().number);
      queue.erase(queue.begin());
    }
    std::uint64_t oldest = end;
    for (const auto& other : queues) {
      if (!other.empty()) oldest = std::min(oldest, other.front().first);
    }
    ASSERT_EQ(prefix.position(end), oldest);
  }
}

}  // namespace
}  // namespace llep
