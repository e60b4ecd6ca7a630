// SPDX-License-Identifier: MIT
#include "bench/report_json.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/result_writer.hpp"
#include "bench/trials.hpp"
#include "common/error.hpp"
#include "tests/unit/report_fixture.hpp"

namespace llep {
namespace {

using namespace report_fixture;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

Json entry(const CaseResult& result, std::size_t index = 0) {
  return benchmark_entries(result, make_context(), RunOptions()).at(index);
}

TEST(Benchmark, StatisticsAreOfTheSlowestRankFirst) {
  const Json one = entry(make_result());
  EXPECT_EQ(one["name"], "dispatch/ipc/bf16/rank/fused/paired/R2/E32/K4/H1024/T16/uniform");
  EXPECT_EQ(one["latency_us"]["clock"], "host_observed");
  EXPECT_EQ(one["latency_us"]["cross_rank_max"]["avg"], 15.0);
  EXPECT_EQ(one["latency_us"]["rank_mean"]["avg"], 11.25);
  EXPECT_EQ(one["samples_us"], Json({10.0, 20.0}));
  EXPECT_EQ(one["cold_us"], 500.0);
  EXPECT_EQ(one["correctness"], Json({{"passed", true}, {"checked_iterations", 2}}));
}

TEST(Benchmark, PercentilesNeedSamples) {
  const auto summary = [](int samples) {
    return entry(make_result(samples))["latency_us"]["cross_rank_max"];
  };
  EXPECT_TRUE(summary(99)["p99"].is_null());
  EXPECT_EQ(summary(100)["p99"], 990.0);
  EXPECT_TRUE(summary(100)["p99_9"].is_null());
}

TEST(Benchmark, HalvesAreTimedApartOrNotAtAll) {
  CaseResult result = make_result();
  EXPECT_TRUE(entry(result)["latency_us"]["send"].is_null());
  EXPECT_TRUE(entry(result)["latency_us"]["receive"].is_null());
  // Of 10 and 20 us of rank 0, and 5 and 10 us of rank 1.
  result.ops[0].receive_us = {{4.0, 12.0}, {1.0, 1.0}};
  append_trial(result, CaseResult(result));
  const Json latency = entry(result)["latency_us"];
  EXPECT_EQ(latency["send"]["min"], 6.0);
  EXPECT_EQ(latency["send"]["max"], 9.0);
  EXPECT_EQ(latency["receive"]["min"], 4.0);
  EXPECT_EQ(latency["receive"]["max"], 12.0);
  EXPECT_EQ(latency["receive"]["samples"], 4);
}

TEST(Benchmark, BandwidthsAreNamedByTheirNumerator) {
  // Rank 0 needs 15 us on average, rank 1 7.5 us; 60 KB in 15 us are 4 GB/s.
  const Json gbps = entry(make_result())["bandwidth_gbps"];
  EXPECT_EQ(gbps["logical_per_rank"], Json({{"min", 4.0}, {"avg", 6.0}, {"max", 8.0}}));
  EXPECT_EQ(gbps["unique_rank_per_rank"], Json({{"min", 2.0}, {"avg", 2.0}, {"max", 2.0}}));
  EXPECT_EQ(gbps["logical_aggregate"], 8.0);
  EXPECT_EQ(gbps["unique_rank_aggregate"], 3.0);
}

TEST(Benchmark, UnknownIsNullAndZeroIsZero) {
  CaseResult result = make_result();
  result.ops[0].cold_us.reset();
  result.ops[0].passed.reset();
  result.ops[0].checked_iterations = 0;
  const Json one = entry(result);
  EXPECT_TRUE(one["cold_us"].is_null());
  EXPECT_TRUE(one["correctness"]["passed"].is_null());
  EXPECT_TRUE(one["bytes"]["nvlink"].is_null());
  EXPECT_EQ(one["bytes"]["rdma"]["total"], 0);
  EXPECT_EQ(one["bytes"]["unique_rank"]["total"], 45'000);
  EXPECT_EQ(one["bytes"]["unique_rank"]["per_rank"]["min"], 15'000.0);
}

TEST(Benchmark, LoadIsThatOfRanksExpertsAndTokens) {
  CaseResult result = make_result();
  EXPECT_TRUE(entry(result)["load"].is_null());
  result.load = {.rows_per_rank = {3, 5},
                 .copies_per_rank = {2, 3},
                 .rows_per_expert = {0, 3, 1, 4},
                 .ranks_per_token = {}};
  const Json load = entry(result)["load"];
  EXPECT_EQ(load["rows_per_rank"], Json({{"min", 3.0}, {"avg", 4.0}, {"max", 5.0}}));
  EXPECT_EQ(load["copies_per_rank"]["avg"], 2.5);
  EXPECT_EQ(load["rows_per_expert"], Json({{"min", 0.0}, {"avg", 2.0}, {"max", 4.0}}));
  EXPECT_TRUE(load["ranks_per_token"].is_null());  // nobody has tokens
}

TEST(Benchmark, RoutingsAreNamedWithoutFolders) {
  RunOptions options;
  options.routings = {parse_routing("trace:/home/somebody/x.npy")};
  options.fresh_routing = true;
  CaseResult result = make_result();
  result.which.routing = options.routings.front();
  const Json one = benchmark_entries(result, make_context(), options).at(0);
  EXPECT_EQ(one["config"]["routing"], "trace:x.npy");
  EXPECT_EQ(one["config"]["fresh_routing"], true);
  EXPECT_TRUE(one["name"].get<std::string>().ends_with("/T16/trace:x.npy-fresh"));
}

TEST(Benchmark, ASkippedCaseIsAnEntryWithItsReason) {
  const Json one = entry(make_skipped(), 1);
  EXPECT_EQ(one["op"], "combine");
  EXPECT_EQ(one["status"], "skipped");
  EXPECT_EQ(one["reason"], make_skipped().reason);
  for (const char* field : {"latency_us", "cold_us", "bytes", "bandwidth_gbps", "samples_us"}) {
    EXPECT_TRUE(one[field].is_null()) << field;
  }
}

TEST(Benchmark, AWrongCombineIsNotDispatchsFault) {
  EXPECT_EQ(entry(make_failed(), 0)["status"], "ok");
  EXPECT_TRUE(entry(make_failed(), 0)["reason"].is_null());
  EXPECT_EQ(entry(make_failed(), 1)["status"], "failed");
  CaseResult deadline = make_result();
  deadline.status = CaseStatus::kFailed;  // by no check: all ops' fault
  EXPECT_EQ(entry(deadline, 0)["status"], "failed");
}

TEST(RowBytes, FollowTheWire) {
  EXPECT_EQ(row_bytes(Op::kDispatch, DispatchDtype::kBf16, 7168), 14336);
  EXPECT_EQ(row_bytes(Op::kDispatch, DispatchDtype::kFp8, 7168), 7168 + 4 * 56);
  EXPECT_EQ(row_bytes(Op::kCombine, DispatchDtype::kFp8, 7168), 14336);
  EXPECT_EQ(row_bytes(Op::kPair, DispatchDtype::kFp8, 7168), 7392 + 14336);
}

TEST(Context, AnonymousHoldsNoNames) {
  RunOptions options;
  options.json_path = options.floors_path = options.samples_path = "/home/somebody/x.json";
  options.routings = {parse_routing("trace:/home/somebody/x.npy"), parse_routing("local")};
  EXPECT_NE(to_json(make_context(), options).dump().find("secret-node"), std::string::npos);
  options.anonymous = true;
  const Json context = to_json(make_context(), options);
  const std::string text = context.dump();
  for (const char* hidden : {"secret-node", "GPU-", "somebody"}) {
    EXPECT_EQ(text.find(hidden), std::string::npos) << hidden;
  }
  EXPECT_EQ(context["arguments"]["routing"], Json({"trace:x.npy", "local"}));
  options.floors_path = "measure";
  EXPECT_EQ(to_json(make_context(), options)["arguments"]["floors"], "measure");
  EXPECT_TRUE(context["hosts"].is_null());
  EXPECT_EQ(context["nodes"], Json({0, 1}));
  EXPECT_TRUE(context["devices"][1]["uuid"].is_null());
  EXPECT_EQ(context["devices"][1]["pci_bus_id"], "0000:5e:00.0");
  EXPECT_EQ(context["environment"]["UCX_TLS"], "tcp");
  EXPECT_EQ(context["world_size"], 2);
}

TEST(Context, TheHostExecutorIsLabelled) {
  EXPECT_EQ(to_json(make_context(ExecutorKind::kHost), RunOptions())["note"],
            "host executor: timings are not GPU timings");
  EXPECT_TRUE(to_json(make_context(), RunOptions())["note"].is_null());
}

TEST(Context, RecordsAnAllowListOfTheEnvironment) {
  const Environment recorded = recorded_environment({{"LLEP_NUM_TOKENS", "8"},
                                                     {"LLEP_TOKEN", "secret"},
                                                     {"OMPI_MCA_btl", "self,vader"},
                                                     {"AWS_SECRET", "secret"}});
  EXPECT_EQ(recorded, (Environment{{"LLEP_NUM_TOKENS", "8"}, {"OMPI_MCA_btl", "self,vader"}}));
}

TEST(Context, AnUnknownRevisionIsNull) {
  ContextInfo context = make_context();
  EXPECT_EQ(to_json(context, RunOptions())["git_revision"], "0123456789ab");
  context.git_revision = "unknown";
  EXPECT_TRUE(to_json(context, RunOptions())["git_revision"].is_null());
}

TEST(Context, TimesAreUtc) {
  EXPECT_EQ(utc_time(std::chrono::system_clock::time_point()), "1970-01-01T00:00:00Z");
}

/// A folder of its own for each test.
class ResultFile : public testing::Test {
 protected:
  ResultFile() { fs::remove_all(folder_); }
  ~ResultFile() override { fs::remove_all(folder_); }

  static Json read(const fs::path& path) {
    std::ifstream file(path);
    return Json::parse(file);
  }
  std::size_t num_files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_ = fs::path(testing::TempDir()) /
                     ("llep_" + std::to_string(::getpid()) + "_" +
                      testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(ResultFile, IsWholeAfterEveryCase) {
  const fs::path path = folder_ / "new" / "results.json";
  ResultWriter writer(path, make_context(), RunOptions());
  EXPECT_EQ(read(path)["complete"], false);
  EXPECT_EQ(read(path)["benchmarks"].size(), 0U);
  CaseResult result = make_result();
  writer.put(result);
  EXPECT_EQ(read(path)["complete"], false);
  EXPECT_EQ(read(path)["benchmarks"].size(), 2U);
  // Another trial of the case takes the place of the first.
  append_trial(result, make_result());
  writer.put(result);
  EXPECT_EQ(read(path)["benchmarks"].size(), 2U);
  EXPECT_EQ(read(path)["benchmarks"][0]["samples_us"].size(), 4U);
  writer.put(make_failed());
  writer.add(ErrorRecord{.phase = "connect", .message = "no"});
  EXPECT_EQ(read(path)["errors"].size(), 2U);
  EXPECT_EQ(read(path)["errors"][0]["expected"], "0x3f80 (1.0)");
  EXPECT_EQ(read(path)["errors"][0]["seen"], 0);
  EXPECT_TRUE(read(path)["errors"][0]["peer"].is_null());
  writer.finish();
  EXPECT_EQ(read(path)["complete"], true);
  EXPECT_EQ(read(path)["schema_version"], kSchemaVersion);
}

TEST_F(ResultFile, APathMayBeRelative) {
  fs::create_directories(folder_);
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  write_atomically("plain.json", "{}");
  write_atomically("a/b/deep.json", "{}");
  fs::current_path(before);
  EXPECT_EQ(fs::file_size(folder_ / "plain.json"), 2U);
  EXPECT_EQ(fs::file_size(folder_ / "a" / "b" / "deep.json"), 2U);
}

TEST_F(ResultFile, OthersMayReadItAndNothingElseStays) {
  const fs::path path = folder_ / "results.json";
  ResultWriter(path, make_context(), RunOptions()).finish();
  struct stat status = {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0644U);
  EXPECT_EQ(num_files(), 1U);
}

TEST_F(ResultFile, AFailedWriteLeavesTheOldFileAlone) {
  fs::create_directories(folder_ / "taken");
  EXPECT_THROW(write_atomically(folder_ / "taken", "{}"), Error);
  EXPECT_TRUE(fs::is_directory(folder_ / "taken"));
  EXPECT_EQ(num_files(), 1U);
  EXPECT_THROW(write_atomically("/dev/null", "{}"), Error);
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(ResultFile, ALinkStaysALink) {
  fs::create_directories(folder_);
  write_atomically(folder_ / "target.json", "old");
  fs::create_symlink("target.json", folder_ / "link.json");
  write_atomically(folder_ / "link.json", "{}");
  EXPECT_TRUE(fs::is_symlink(folder_ / "link.json"));
  EXPECT_EQ(fs::file_size(folder_ / "target.json"), 2U);
}

TEST_F(ResultFile, SurvivesWhatJsonCannotSay) {
  ContextInfo context = make_context();
  context.ranks[0].device = "\xff";
  const fs::path path = folder_ / "results.json";
  ResultWriter writer(path, context, RunOptions());
  CaseResult result = make_result();
  result.ops[0].us = {{0.0}, {0.0}};  // bytes in no time
  writer.put(result);
  EXPECT_TRUE(read(path)["benchmarks"][0]["bandwidth_gbps"]["logical_aggregate"].is_null());
}

/// Exit code of the validator, its words in `said`.
int validate_file(const fs::path& path, std::string& said) {
  const std::string source = LLEP_SOURCE_DIR;
  const std::string command = "python3 '" + source + "/tests/host/validate_schema.py' '" + source +
                              "/results/schema.json' '" + path.string() + "' 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return -1;
  std::array<char, 256> line = {};
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) said += line.data();
  const int status = ::pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

constexpr int kCannotTell = 77;
constexpr int kNoPython = 127;

TEST_F(ResultFile, IsValidBySchema) {
  RunOptions options;
  options.mask.share = 0.5;
  options.uneven_tokens.per_rank = {1, 2};
  options.inject = parse_injection("delay:rank=0,iter=1");
  const fs::path path = folder_ / "results.json";
  for (const ExecutorKind executor : {ExecutorKind::kHost, ExecutorKind::kCuda}) {
    options.anonymous = executor == ExecutorKind::kHost;
    ResultWriter writer(path, make_context(executor), options);
    Mode mode = Mode::kPaired;
    for (CaseResult result : {make_result(1000), make_skipped(), make_failed()}) {
      result.which.mode = mode;
      mode = mode == Mode::kPaired ? Mode::kChained : Mode::kGraph;
      writer.put(result);
    }
    writer.set({{.gate = "max-latency-us pair:p50:1"},
                {.gate = "min-bw dispatch:1", .passed = true, .worst = 2.5, .name = "x"}});
    if (executor == ExecutorKind::kCuda) writer.set(make_sick());
    writer.finish();
    std::string said;
    const int code = validate_file(path, said);
    if (code == kCannotTell || code == kNoPython) GTEST_SKIP() << said;
    EXPECT_EQ(code, 0) << said;
  }
  Json document = read(path);
  document["benchmarks"][0]["correctness"]["passed"] = "yes";
  document["context"].erase("world_size");
  document["context"]["gpu_health"][0]["pids"] = {1};  // nothing that names anybody
  write_atomically(path, document.dump());
  std::string said;
  EXPECT_EQ(validate_file(path, said), 1);
  EXPECT_NE(said.find("world_size"), std::string::npos);
  EXPECT_NE(said.find("correctness/passed"), std::string::npos);
  EXPECT_NE(said.find("'pids' was unexpected"), std::string::npos);
}

}  // namespace
}  // namespace llep
