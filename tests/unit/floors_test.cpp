// SPDX-License-Identifier: MIT
// What `llep floors` is told, and how it tells what it measured.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/cli.hpp"
#include "bench/floors_report.hpp"
#include "bench/report_table.hpp"
#include "common/error.hpp"
#include "tests/unit/report_fixture.hpp"

namespace llep {
namespace {

using namespace report_fixture;

RunOptions floors(std::vector<const char*> arguments, const Environment& environment = {}) {
  arguments.insert(arguments.begin(), {"llep", "floors"});
  return std::get<RunOptions>(
      parse_command_line(static_cast<int>(arguments.size()), arguments.data(), environment));
}

std::string complaint(const std::vector<const char*>& arguments) {
  try {
    floors(arguments);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return "(none)";
}

TEST(FloorsOptions, are_those_of_run_that_mean_the_same_and_sizes) {
  const RunOptions options = floors(
      {"--sizes", "16M,8,4K,48", "-n", "3", "--transport", "ipc,fifo", "--fifo-depth", "512"},
      {{"LLEP_TIMEOUT_MS", "50"}, {"LLEP_SIZES", "16"}, {"LLEP_NUM_TOKENS", "no number"}});
  EXPECT_EQ(options.command, Subcommand::kFloors);
  EXPECT_EQ(options.sizes, (std::vector{8, 48, 4096, 16 << 20}));
  EXPECT_EQ(options.iters, 3);
  EXPECT_EQ(options.transports, (std::vector<std::string>{"ipc", "fifo"}));
  EXPECT_EQ(options.fifo_depth, 512);
  EXPECT_EQ(options.timeout_ms, 50.0);
  EXPECT_EQ(floors({}).sizes.size(), 12U);
  EXPECT_FALSE(floors({}).pairs);
  EXPECT_TRUE(floors({"--pairs"}).pairs);
  const auto json = to_json(options);
  EXPECT_EQ(json["sizes"], nlohmann::ordered_json({"8", "48", "4K", "16M"}));
  EXPECT_FALSE(json.contains("num-tokens"));
  EXPECT_NE(fingerprint(options), fingerprint(floors({})));
}

TEST(FloorsOptions, complaints_are_one_clear_line) {
  EXPECT_EQ(complaint({"--sizes", "12"}), "--sizes: '12' is neither 8 nor a multiple of 16");
  EXPECT_EQ(complaint({"--sizes", "K"}), "--sizes: '' is not a whole number of at least 1");
  EXPECT_EQ(complaint({"--sizes", "2000M"}), "--sizes: '2000' is more than 1024");
  EXPECT_EQ(complaint({"--sizes", "1K,1024"}), "--sizes: '1K' is listed twice");
  EXPECT_NE(complaint({"--num-tokens", "1"}).find("--num-tokens"), std::string::npos);
}

Floor ping_pong() {
  return {.transport = "ipc",
          .probe = ProbeKind::kPutLatency,
          .num_ranks = 4,
          .from = 0,
          .to = 3,
          .bytes = 16,
          .num_rounds = 1000,
          .trips = 2,
          .round_us = {3.0, 2.5, 4.0},
          .passed = true};
}

/// 2 messages to each of 3 peers in 6 us, 1000 bytes each: a message a microsecond.
Floor stream() {
  return {.transport = "fifo",
          .probe = ProbeKind::kPutStream,
          .num_ranks = 4,
          .bytes = 1000,
          .num_rounds = 10,
          .round_units = 6,
          .round_us = {6.0, 3.0, 12.0},
          .passed = false};
}

Floor ring() {
  return {.transport = "fifo",
          .probe = ProbeKind::kFifoRate,
          .num_ranks = 4,
          .from = 0,
          .ring = RingUse{.depth = 512, .num_proxies = 2, .num_warps = 1056, .batch = 32},
          .num_rounds = 10,
          .round_units = 1056 * 32,
          .round_us = {300.0}};
}

Floor exchange() {
  return {.transport = "ipc",
          .probe = ProbeKind::kExchange,
          .num_ranks = 4,
          .bytes = 16384,
          .num_warps = 16,
          .num_rounds = 10,
          .round_us = {6.0, 5.0, 7.0},
          .passed = true};
}

TEST(Floor, says_only_what_its_probe_measures) {
  EXPECT_EQ(floor_name(ping_pong()), "put_latency/ipc/R4/0-3/16");
  EXPECT_EQ(trip_us(ping_pong())->best, 1.25);
  EXPECT_EQ(trip_us(ping_pong())->p50, 1.5);
  EXPECT_FALSE(gbps(ping_pong()));
  EXPECT_EQ(floor_name(stream()), "put_stream/fifo/R4/all/1000");
  EXPECT_FALSE(trip_us(stream()));
  EXPECT_DOUBLE_EQ(per_second(stream())->p50, 1e6);
  EXPECT_DOUBLE_EQ(per_second(stream())->best, 2e6);
  EXPECT_DOUBLE_EQ(gbps(stream())->p50, 1.0);
  EXPECT_EQ(floor_name(ring()), "fifo_rate/fifo/R4/depth512/p2/w1056/b32");
  EXPECT_DOUBLE_EQ(per_second(ring())->p50, 112.64e6);
  EXPECT_FALSE(gbps(ring()));
  EXPECT_EQ(floor_name(exchange()), "exchange/ipc/R4/all/16384/w16");
  EXPECT_EQ(trip_us(exchange())->best, 5.0);
  EXPECT_FALSE(per_second(exchange()));
}

// As wide as the table, which is wider than our sources.
// clang-format off
constexpr const char* kGolden =
R"(probe            ranks         bytes    us min    us p50  GB/s max  GB/s p50   M/s max   M/s p50 check
put_latency      0 <-> 3          16      1.25      1.50         -         -         -         - ok
put_stream       all            1000         -         -      2.00      1.00      2.00      1.00 FAILED
exchange         all w16       16384      5.00      6.00         -         -         -         - ok
probe             depth   rings  warps  batch    us min    us p50   M/s max   M/s p50
fifo_rate           512       2   1056     32         -         -    112.64    112.64
skipped: transport ipc: the ranks run on 2 nodes
)";
// clang-format on

TEST(FloorsTable, has_columns_for_messages_and_for_rings) {
  const std::string text =
      floors_header(false) + floors_row(ping_pong()) + floors_row(stream()) +
      floors_row(exchange()) + floors_header(true) + floors_row(ring()) +
      floors_row({.transport = "ipc", .skipped = "transport ipc: the ranks run on 2 nodes"});
  EXPECT_EQ(text, kGolden);
  Floor wide = stream();
  wide.bytes = 1 << 30;
  wide.round_us = {1e-3};
  EXPECT_LE(floors_row(wide).size(), static_cast<std::size_t>(kTableWidth) + 1);
}

TEST(FloorsJson, unknown_is_null) {
  const auto latency = floor_entry(ping_pong(), ExecutorKind::kCuda);
  EXPECT_EQ(latency["us_min"], 1.25);
  EXPECT_EQ(latency["samples"], 3);
  EXPECT_TRUE(latency["gbps_p50"].is_null());
  EXPECT_TRUE(latency["ring"].is_null());
  EXPECT_TRUE(latency["warps"].is_null());
  EXPECT_EQ(floor_entry(exchange(), ExecutorKind::kCuda)["warps"], 16);
  EXPECT_EQ(latency["verified"], true);
  const auto all = floor_entry(stream(), ExecutorKind::kCuda);
  EXPECT_TRUE(all["from"].is_null());
  EXPECT_TRUE(all["us_min"].is_null());
  EXPECT_EQ(all["status"], "failed");
  EXPECT_EQ(floor_entry(ring(), ExecutorKind::kCuda)["ring"]["depth"], 512);
  const auto skipped = floor_entry({.transport = "ipc", .skipped = "no"}, ExecutorKind::kCuda);
  EXPECT_EQ(skipped["status"], "skipped");
  EXPECT_TRUE(skipped["probe"].is_null());
}

}  // namespace
}  // namespace llep
