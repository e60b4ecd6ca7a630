// SPDX-License-Identifier: MIT
#include "common/unique_handle.hpp"

#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace llep {
namespace {

std::vector<int> closed;
void close_number(int number) { closed.push_back(number); }

/// As a file descriptor: 0 is a handle, -1 is none.
using Number = UniqueHandle<int, close_number, -1>;

class UniqueHandleTest : public testing::Test {
 protected:
  void SetUp() override { closed.clear(); }
};

TEST_F(UniqueHandleTest, closes_once_and_never_null) {
  {
    const Number zero(0);
    const Number none;
    EXPECT_TRUE(zero);
    EXPECT_FALSE(none);
    EXPECT_EQ(zero.get(), 0);
    EXPECT_EQ(none.get(), -1);
  }
  EXPECT_EQ(closed, std::vector<int>{0});
}

TEST_F(UniqueHandleTest, moving_hands_the_handle_on) {
  {
    Number first(1);
    const Number second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): the point of the test
    EXPECT_EQ(second.get(), 1);
    EXPECT_TRUE(closed.empty());
  }
  EXPECT_EQ(closed, std::vector<int>{1});
}

TEST_F(UniqueHandleTest, assigning_a_temporary_closes_the_old_handle_at_once) {
  Number number(1);
  number = Number(2);
  EXPECT_EQ(closed, std::vector<int>{1});
  EXPECT_EQ(number.get(), 2);
  number = Number();
  EXPECT_EQ(closed, (std::vector<int>{1, 2}));
}

TEST_F(UniqueHandleTest, members_close_in_reverse_order) {
  struct Composite {
    Number first{1};
    Number second{2};
  };
  { const Composite composite; }
  EXPECT_EQ(closed, (std::vector<int>{2, 1}));
}

static_assert(!std::is_copy_constructible_v<Number> && !std::is_copy_assignable_v<Number>);
static_assert(std::is_nothrow_move_constructible_v<Number>);

}  // namespace
}  // namespace llep
