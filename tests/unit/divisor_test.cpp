// SPDX-License-Identifier: MIT
// Division by multiplication, against the machine's.
#include "common/divisor.hpp"

#include <gtest/gtest.h>

#include <climits>
#include <vector>

namespace llep {
namespace {

/// Where a quotient changes, and the ends.
std::vector<int> dividends(int by) {
  std::vector<int> values = {0, 1, by - 1, by, INT_MAX - 1, INT_MAX};
  const int most = INT_MAX / by;
  for (const int times : {1, 2, 3, 7, most / 3, most / 2, most - 1, most}) {
    if (times < 1 || times > most) continue;
    const int at = times * by;
    values.insert(values.end(), {at - 1, at});
    if (at < INT_MAX) values.push_back(at + 1);
  }
  return values;
}

void expect_like_the_machine(int by) {
  const Divisor divisor(by);
  ASSERT_EQ(divisor.value(), by);
  for (const int n : dividends(by)) {
    ASSERT_EQ(divisor.quotient(n), n / by) << n << " / " << by;
    ASSERT_EQ(divisor.remainder(n), n % by) << n << " % " << by;
  }
}

TEST(Divisor, dividesLikeTheMachine) {
  for (int by = 1; by <= 20'000; ++by) expect_like_the_machine(by);
  for (int bit = 14; bit < 31; ++bit) {
    for (const int near : {-3, -1, 0, 1, 5}) expect_like_the_machine((1 << bit) + near);
  }
  for (int by = INT_MAX - 4; by < INT_MAX; ++by) expect_like_the_machine(by);
  expect_like_the_machine(INT_MAX);
}

TEST(Divisor, ofSmallNumbersEveryQuotient) {
  for (int by = 1; by <= 300; ++by) {
    const Divisor divisor(by);
    for (int n = 0; n < 3000; ++n) ASSERT_EQ(divisor.quotient(n), n / by) << n << " / " << by;
  }
}

TEST(Divisor, unsetIsOne) { EXPECT_EQ(Divisor().quotient(INT_MAX), INT_MAX); }

}  // namespace
}  // namespace llep
