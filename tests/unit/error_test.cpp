// SPDX-License-Identifier: MIT
#include "common/error.hpp"

#include <stdexcept>
#include <string_view>

#include <gtest/gtest.h>

namespace llep {
namespace {

TEST(Error, carries_code_message_and_place) {
  const Error error(ExitCode::kUnavailable, "opening: none, attach one");
  const auto line = std::source_location::current().line() - 1;
  EXPECT_EQ(error.code(), ExitCode::kUnavailable);
  EXPECT_STREQ(error.what(), "opening: none, attach one");
  EXPECT_EQ(error.where().line(), line);
  EXPECT_NE(std::string_view(error.where().file_name()).find("error_test.cpp"),
            std::string_view::npos);
}

TEST(Error, is_a_runtime_error) {
  EXPECT_THROW(throw Error(ExitCode::kUsage, "no"), std::runtime_error);
}

/// Promised to callers: scripts and CI jobs test these numbers.
TEST(ExitCode, numbers_are_fixed) {
  EXPECT_EQ(static_cast<int>(ExitCode::kOk), 0);
  EXPECT_EQ(static_cast<int>(ExitCode::kInternal), 1);
  EXPECT_EQ(static_cast<int>(ExitCode::kUsage), 2);
  EXPECT_EQ(static_cast<int>(ExitCode::kWrongData), 3);
  EXPECT_EQ(static_cast<int>(ExitCode::kDeadline), 4);
  EXPECT_EQ(static_cast<int>(ExitCode::kUnavailable), 5);
  EXPECT_EQ(static_cast<int>(ExitCode::kGateMissed), 6);
  EXPECT_EQ(static_cast<int>(ExitCode::kRegression), 7);
}

}  // namespace
}  // namespace llep
