// SPDX-License-Identifier: MIT
#include "bench/report_table.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <sstream>
#include <string>

#include "bench/report_lines.hpp"
#include "tests/unit/report_fixture.hpp"

namespace llep {
namespace {

using namespace report_fixture;

std::size_t longest_line(const std::string& text) {
  std::istringstream lines(text);
  std::size_t longest = 0;
  for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
  return longest;
}

// As wide as the table, which is wider than our sources.
// clang-format off
constexpr const char* kGolden =
R"(op           T     H  K    E dtype copies    phases       min       avg       p50       max  logical   unique check
                                                           us        us        us        us     GB/s     GB/s
dispatch    16  1024  4   32 bf16  rank      fused      10.00     15.00     10.00     20.00     6.00     2.00 ok
combine     16  1024  4   32 bf16  rank      fused      10.00     15.00     10.00     20.00     6.00     2.00 ok
dispatch    16  1024  4   32 bf16  rank      fused      10.00     15.00     10.00     20.00     6.00     2.00 ok
combine     16  1024  4   32 bf16  rank      fused      10.00     15.00     10.00     20.00     6.00     2.00 FAILED
  failed: combine: rank 1: token 3: first bad column 7
dispatch    16  1024  4   32 bf16  rank      fused          -         -         -         -        -        - skipped
combine     16  1024  4   32 bf16  rank      fused          -         -         -         -        -        - skipped
  skipped: no peer access between the GPUs of ranks 0 and 1
)";
// clang-format on

TEST(Table, LooksLikeThis) {
  RunOptions options;
  options.iters = 2;
  const std::string table = table_header(options) + table_rows(make_result(), options) +
                            table_rows(make_failed(), options) +
                            table_rows(make_skipped(), options);
  EXPECT_EQ(table, kGolden);
}

TEST(Table, ShowsP99FromAHundredSamplesOn) {
  RunOptions options;
  options.iters = 100;
  const std::string rows = table_rows(make_result(100), options);
  EXPECT_NE(table_header(options).find("p99"), std::string::npos);
  EXPECT_EQ(table_header(options).find("max"), std::string::npos);
  EXPECT_NE(rows.find("990.00"), std::string::npos);
  EXPECT_EQ(rows.find("1000.00"), std::string::npos);
}

TEST(Table, NoLineIsLongerThan120) {
  RunOptions options;
  CaseResult result = make_result();
  result.which.shape = {
      .num_ranks = 2, .num_experts = 2048, .max_tokens = 99999, .hidden = 16384, .num_topk = 32};
  result.which.copies = DispatchCopies::kSelection;
  for (OpResult& op : result.ops) {
    op.passed.reset();
    op.us = {{98'765'432.1}, {98'765'432.1}};
    op.bytes.logical = {9'000'000'000'000'000, 9'000'000'000'000'000};
  }
  result.status = CaseStatus::kFailed;
  result.reason = "a reason of many words that " + std::string(150, 'x') + " goes on and on " +
                  "until it has filled more than one line of the table, and then some more words";
  EXPECT_LE(longest_line(table_header(options)), 120U);
  EXPECT_LE(longest_line(table_rows(result, options)), 120U);
  EXPECT_TRUE(table_rows(result, options).ends_with("more words\n"));
  EXPECT_LE(longest_line(table_caption(Case{.transport = "ipc"}, make_context(), options)), 120U);
}

TEST(Table, UncheckedIsNotOk) {
  CaseResult result = make_result();
  result.ops[0].passed.reset();
  result.ops.pop_back();
  result.which.ops.pop_back();
  const std::string rows = table_rows(result, RunOptions());
  EXPECT_NE(rows.find("unchecked"), std::string::npos);
  EXPECT_EQ(rows.find("ok"), std::string::npos);
}

TEST(Table, VerboseNamesTheSlowestRanks) {
  OpResult op{.op = Op::kDispatch, .us = {{10, 20, 30}, {11, 21, 1}, {1, 1, 1}}};
  EXPECT_EQ(slowest_line(op),
            "  dispatch: slowest of 3 iterations: rank 1 in 2 (its mean 11.00 us), rank 0 in 1 "
            "(its mean 20.00 us)\n");
  op.us = {{}, {}, {}};
  EXPECT_EQ(slowest_line(op), "");
}

TEST(Table, VerboseSaysHowUnevenTheRoutingIs) {
  CaseResult result = make_result();
  EXPECT_EQ(load_line(result), "");  // not known
  result.load = {.rows_per_rank = {3, 14}, .rows_per_expert = {0, 3, 9, 5}};
  EXPECT_EQ(load_line(result),
            "  load: 3 to 14 rows per rank (most: rank 1), 0 to 9 rows per expert (most: expert 2)"
            "\n");
}

TEST(Table, VerboseTellsEachRanksPlace) {
  const std::string lines = rank_lines(make_context(), false);
  EXPECT_EQ(lines.find("  rank 0: NVIDIA H200 on secret-node, cpus 0-3, NUMA node 0\n"), 0U);
  EXPECT_EQ(rank_lines(make_context(), true).find("secret"), std::string::npos);
}

TEST(Table, CaptionSaysWhereTheNumbersComeFrom) {
  EXPECT_EQ(table_caption(Case{.transport = "ipc"}, make_context(), RunOptions()),
            "cuda executor, 2 x NVIDIA H200, 2 ranks on 1 node, ipc, paired, uniform "
            "routing, 20 iterations after 5 warm-up; times of\nthe slowest rank, GB/s the mean of "
            "the ranks' own\n");
  const std::string host = table_caption(Case{.transport = "ipc"}, make_context(ExecutorKind::kHost), RunOptions());
  EXPECT_EQ(host.find("host executor (timings are not GPU timings), 2 ranks"), 0U);
}

TEST(Table, PrintsACaptionForEachTransportAndNoProgressIntoFiles) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> table(std::tmpfile());
  const std::unique_ptr<std::FILE, Close> progress(std::tmpfile());
  ASSERT_TRUE(table && progress);
  const ContextInfo context = make_context();
  const RunOptions options;
  TablePrinter printer(context, options, 2, table.get(), progress.get());
  CaseResult result = make_result();
  for (const char* transport : {"ipc", "ipc", "fifo"}) {
    result.which.transport = transport;
    printer.begin(result.which, 0);
    printer.add(result);
  }
  EXPECT_EQ(std::ftell(progress.get()), 0);
  std::string text(static_cast<std::size_t>(std::ftell(table.get())), '\0');
  std::rewind(table.get());
  ASSERT_EQ(std::fread(text.data(), 1, text.size(), table.get()), text.size());
  const std::string rows = table_header(options) + table_rows(result, options);
  EXPECT_EQ(text, table_caption(Case{.transport = "ipc"}, context, options) + rows + table_rows(result, options) +
                      "\n" + table_caption(Case{.transport = "fifo"}, context, options) + rows);
}

}  // namespace
}  // namespace llep
