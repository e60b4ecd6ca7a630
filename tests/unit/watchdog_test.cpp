// SPDX-License-Identifier: MIT
#include "common/watchdog.hpp"

#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/thread_communicator.hpp"

namespace llep {
namespace {

using namespace std::chrono_literals;

/// Long enough never to pass in a test, even under a sanitizer on a busy machine.
constexpr auto kNever = 1h;

/// A watchdog whose abort only reports its code, and what it printed.
class WatchdogTest : public testing::Test {
 protected:
  /// Waits for one abort; the text printed until then.
  std::string wait_for_abort() {
    std::future<ExitCode> code = aborted_.get_future();
    EXPECT_EQ(code.wait_for(60s), std::future_status::ready);
    EXPECT_EQ(code.get(), ExitCode::kDeadline);
    return testing::internal::GetCapturedStderr();
  }

  void SetUp() override { testing::internal::CaptureStderr(); }

  std::promise<ExitCode> aborted_;  // a second abort throws in the watchdog's thread: a crash
  Watchdog watchdog_{2, [this](ExitCode code) { aborted_.set_value(code); }};
};

TEST_F(WatchdogTest, prints_one_line_and_aborts_when_a_deadline_passes) {
  const auto guard = watchdog_.guard(20ms, "dispatch", [] { return std::string("peer 1 waits"); });
  EXPECT_EQ(wait_for_abort(), "llep: rank 2: dispatch did not end within 0.02 s; peer 1 waits\n");
}

TEST_F(WatchdogTest, says_so_if_the_report_fails_or_is_missing) {
  const auto guard = watchdog_.guard(
      20ms, "combine", []() -> std::string { throw std::runtime_error("no records"); });
  EXPECT_EQ(wait_for_abort(),
            "llep: rank 2: combine did not end within 0.02 s; its report failed: no records\n");
}

TEST_F(WatchdogTest, an_inner_deadline_passes_within_an_outer_one) {
  const auto outer = watchdog_.guard(kNever, "run");
  { const auto done = watchdog_.guard(kNever, "set-up"); }
  const auto inner = watchdog_.guard(20ms, "connect");
  EXPECT_EQ(wait_for_abort(),
            "llep: rank 2: connect did not end within 0.02 s; nothing more is known\n");
}

TEST_F(WatchdogTest, an_outer_deadline_outlives_an_inner_guard) {
  const auto outer = watchdog_.guard(50ms, "run");
  { const auto inner = watchdog_.guard(kNever, "connect"); }
  EXPECT_EQ(wait_for_abort(),
            "llep: rank 2: run did not end within 0.05 s; nothing more is known\n");
}

TEST(Watchdog, what_ends_in_time_is_not_reported) {
  testing::internal::CaptureStderr();
  int aborts = 0;
  {
    Watchdog watchdog(0, [&](ExitCode) { ++aborts; });
    for (int round = 0; round < 1000; ++round) {
      auto guard = watchdog.guard(kNever, "op", [] { return std::string("unused"); });
      const auto moved = std::move(guard);
    }
    const auto id = watchdog.arm(200ms, "op");
    watchdog.disarm(id);
    std::this_thread::sleep_for(300ms);  // past the disarmed deadline
  }
  EXPECT_EQ(aborts, 0);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Watchdog, a_disarmed_report_is_never_called_on_what_is_gone) {
  testing::internal::CaptureStderr();
  Watchdog watchdog(0, [](ExitCode) {});
  for (int round = 0; round < 200; ++round) {
    const std::vector<char> local(64, 'x');  // freed right after the guard
    const auto guard = watchdog.guard(std::chrono::microseconds(round), "op",
                                      [&] { return std::string(local.begin(), local.end()); });
    std::this_thread::sleep_for(100us);
  }
  testing::internal::GetCapturedStderr();
}

TEST(WatchdogDeathTest, ends_a_run_that_hangs) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto hang = [](Communicator& comm) {
    Watchdog watchdog(comm.rank(), [&](ExitCode code) { comm.abort(code); });
    const auto guard = watchdog.guard(comm.rank() == 1 ? 50ms : 1h, "waiting");
    if (comm.rank() == 0) std::this_thread::sleep_for(1h);
    comm.barrier();
  };
  EXPECT_EXIT(run_ranks(2, hang), testing::ExitedWithCode(4),
              "^llep: rank 1: waiting did not end within 0.05 s; nothing more is known\n$");
}

}  // namespace
}  // namespace llep
