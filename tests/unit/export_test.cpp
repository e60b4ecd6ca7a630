// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/export_command.hpp"
#include "bench/export_formats.hpp"
#include "bench/option_values.hpp"
#include "common/error.hpp"
#include "tests/unit/result_fixture.hpp"

namespace llep {
namespace {

using Json = nlohmann::ordered_json;
using report_fixture::make_failed;
using report_fixture::make_result;
using report_fixture::make_skipped;
using result_fixture::make_document;
using result_fixture::read;
using result_fixture::TemporaryResult;

constexpr const char* kDispatch = "dispatch/ipc/bf16/rank/fused/paired/R2/E32/K4/H1024/T16/uniform";

/// The slowest rank takes 10, 20, 30 and 40 us.
Json measured() { return make_document({make_result(4)}); }

std::string complaint(const std::string& text) {
  const TemporaryResult file(text);
  try {
    read_result(file.path());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    const std::string what = error.what();
    const std::string where = "results file " + file.path() + ": ";
    EXPECT_EQ(what.substr(0, where.size()), where);
    EXPECT_EQ(what.find('\n'), std::string::npos);
    return what.substr(std::min(what.size(), where.size()));
  }
  return "(none)";
}

TEST(ResultFileTest, what_cannot_be_read_is_said) {
  EXPECT_THROW(read_result("/nonexistent.json"), Error);
  EXPECT_NE(complaint("{").find("parse error at line 1"), std::string::npos);
  EXPECT_EQ(complaint("[]"), "no results file: it has no schema_version");
  Json document = measured();
  document["schema_version"] = 2;
  EXPECT_EQ(complaint(document.dump()), "schema_version is 2, this llep reads 1");
  document = measured();
  document["kind"] = "floors";
  EXPECT_EQ(complaint(document.dump()),
            "kind is \"floors\", but only results of llep run can be read");
  document = measured();
  document["benchmarks"][0]["latency_us"]["cross_rank_max"]["p50"] = 0;
  EXPECT_EQ(complaint(document.dump()), std::string(kDispatch) + ": p50 is 0, not a time above 0");
  document = measured();
  document["benchmarks"].push_back(document["benchmarks"][0]);
  EXPECT_EQ(complaint(document.dump()), std::string(kDispatch) + " is there twice");
  document = measured();
  document["context"].erase("devices");
  EXPECT_NE(complaint(document.dump()).find("devices"), std::string::npos);
}

TEST(ResultFileTest, trials_may_be_there_absent_or_null) {
  Json document = measured();
  EXPECT_TRUE(read(document).entries[0].trial_p50_us.empty());
  document["benchmarks"][0]["trial_p50_us"] = nullptr;
  EXPECT_TRUE(read(document).entries[0].trial_p50_us.empty());
  document["benchmarks"][0]["trial_p50_us"] = {20, 21.5};
  EXPECT_EQ(read(document).entries[0].trial_p50_us, (std::vector<double>{20, 21.5}));
}

TEST(GoogleBenchmark, one_repetition_without_trials) {
  const Json document = Json::parse(google_benchmark_text(read(measured())));
  ASSERT_EQ(document["benchmarks"].size(), 2 * 4U);
  const Json& first = document["benchmarks"][0];
  EXPECT_EQ(first["name"], kDispatch);
  EXPECT_EQ(first["run_name"], kDispatch);
  EXPECT_EQ(first["run_type"], "iteration");
  EXPECT_EQ(first["repetitions"], 1);
  EXPECT_EQ(first["iterations"], 4);
  EXPECT_EQ(first["real_time"], 20);
  EXPECT_EQ(first["cpu_time"], 20);
  EXPECT_EQ(first["time_unit"], "us");
  const Json& mean = document["benchmarks"][1];
  EXPECT_EQ(mean["name"], std::string(kDispatch) + "_mean");
  EXPECT_EQ(mean["run_name"], kDispatch);
  EXPECT_EQ(mean["run_type"], "aggregate");
  EXPECT_EQ(mean["aggregate_name"], "mean");
  EXPECT_EQ(mean["real_time"], 25);
  EXPECT_EQ(document["context"]["date"], "2026-01-31T12:00:00Z");
}

TEST(GoogleBenchmark, trials_are_repetitions) {
  Json document = measured();
  document["benchmarks"][0]["trial_p50_us"] = {20, 30};
  const Json entries = Json::parse(google_benchmark_text(read(document)))["benchmarks"];
  ASSERT_EQ(entries.size(), 5 + 4U);
  EXPECT_EQ(entries[0]["name"], entries[1]["name"]);
  EXPECT_EQ(entries[1]["repetition_index"], 1);
  EXPECT_EQ(entries[1]["repetitions"], 2);
  EXPECT_EQ(entries[1]["real_time"], 30);
  EXPECT_EQ(entries[1]["iterations"], 2);
  EXPECT_EQ(entries[2]["real_time"], 25);
  EXPECT_EQ(entries[2]["iterations"], 2);
}

TEST(GithubAction, latencies_and_bandwidths) {
  const ResultFile result = read(measured());
  const Json latencies = Json::parse(action_latency_text(result));
  ASSERT_EQ(latencies.size(), 2U);
  EXPECT_EQ(latencies[0]["name"], kDispatch);
  EXPECT_EQ(latencies[0]["unit"], "us");
  EXPECT_EQ(latencies[0]["value"], 20);
  EXPECT_EQ(latencies[0]["range"], "± 12.91");
  EXPECT_TRUE(latencies[0]["extra"].is_string());
  // 60 kB a rank in 25 and in 12.5 us.
  const Json bandwidths = Json::parse(action_bandwidth_text(result));
  EXPECT_EQ(bandwidths[0]["unit"], "GB/s");
  EXPECT_NEAR(bandwidths[0]["value"].get<double>(), 3.6, 1e-9);
  EXPECT_EQ(bandwidths[0]["range"], "2.40 to 4.80");
}

TEST(Bencher, has_the_units_of_its_measures) {
  const Json document = Json::parse(bencher_text(read(measured())));
  const Json& measures = document[kDispatch];
  EXPECT_EQ(measures["latency"],
            Json({{"value", 20e3}, {"lower_value", 10e3}, {"upper_value", 40e3}}));
  EXPECT_EQ(measures["throughput"],
            Json({{"value", 50e3}, {"lower_value", 25e3}, {"upper_value", 100e3}}));
  EXPECT_NEAR(measures["bandwidth-gbps"]["upper_value"].get<double>(), 4.8, 1e-9);
}

/// The host executor's, of fifo over a stand-in.
Json over_stand_in() {
  Json document = measured();
  document["context"]["executor"] = "host";
  document["context"]["stand_ins"] = {"softmlx5"};
  document["context"]["warnings"] = {"rank 1: its GPU was throttled (sw_power_cap)", "another"};
  for (Json& entry : document["benchmarks"]) entry["transport"] = "fifo";
  return document;
}

TEST(Exports, names_tell_executor_and_stand_ins_apart) {
  const ResultFile result = read(over_stand_in());
  const std::string name = std::string(kDispatch) + "/host/softmlx5";
  EXPECT_TRUE(Json::parse(bencher_text(result)).contains(name));
  EXPECT_EQ(Json::parse(action_latency_text(result))[0]["name"], name);
  EXPECT_EQ(Json::parse(action_bandwidth_text(result))[0]["name"], name);
  Json document = over_stand_in();
  document["benchmarks"][0]["transport"] = "ipc";
  document["context"]["executor"] = "cuda";
  EXPECT_TRUE(Json::parse(bencher_text(read(document))).contains(kDispatch));
}

TEST(Exports, hand_on_warnings_and_stand_ins) {
  const ResultFile result = read(over_stand_in());
  const std::string extra = Json::parse(action_latency_text(result))[0]["extra"];
  EXPECT_NE(extra.find("stand-ins: softmlx5"), std::string::npos);
  EXPECT_NE(extra.find("\nwarning: rank 1: its GPU was throttled"), std::string::npos);
  EXPECT_EQ(Json::parse(google_benchmark_text(result))["context"]["warnings"].size(), 2U);
  EXPECT_NE(csv_text(result).find(",softmlx5,rank 1: its GPU was throttled (sw_power_cap); "
                                  "another\r\n"),
            std::string::npos);
  EXPECT_NE(markdown_text(result).find("\n- warning: another\n\n|"), std::string::npos);
}

TEST(Csv, quotes_and_keeps_what_was_not_measured) {
  CaseResult skipped = make_skipped();
  skipped.reason = "no \"peer\" access, or\nnone yet";
  const std::string text = csv_text(read(make_document({skipped})));
  EXPECT_EQ(text.substr(0, 32), "name,op,transport,executor,statu");
  const std::string row = std::string(kDispatch) +
                          ",dispatch,ipc,cuda,skipped,\"no \"\"peer\"\" access, or\nnone yet\",,0,"
                          "bf16,rank,fused,paired,1,2,32,4,1024,16,uniform,";
  EXPECT_NE(text.find("\r\n" + row), std::string::npos) << text;
  EXPECT_EQ(text.substr(text.size() - 2), "\r\n");
}

TEST(Markdown, table_of_results) {
  const std::string text = markdown_text(read(measured()));
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "cuda executor, 2 x NVIDIA H200, 2 ranks on 1 node; 0123456789ab");
  EXPECT_NE(text.find("| benchmark | min us | p50 us |"), std::string::npos);
  EXPECT_NE(text.find(std::string("| ") + kDispatch + " | 10.00 | 20.00 |"), std::string::npos);
}

/// What `llep export -o -` prints, and what it says on stderr.
std::pair<std::string, std::string> exported(const Json& document, ExportFormat format) {
  const TemporaryResult file(document.dump());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  EXPECT_EQ(export_command({.result = file.path(), .format = format, .output = "-"}),
            ExitCode::kOk);
  std::fflush(stdout);
  return {testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

TEST(ExportCommand, leaves_out_what_has_no_times_and_says_why) {
  Json document = make_document({make_failed()});
  document["complete"] = false;
  const auto [bmf, said] = exported(document, ExportFormat::kBencher);
  EXPECT_EQ(Json::parse(bmf).size(), 1U);
  EXPECT_NE(said.find("is incomplete"), std::string::npos);
  EXPECT_NE(said.find("left out 1 entry: failed: combine: rank 1: token 3: first bad column 7\n"),
            std::string::npos);
  const auto [csv, silence] = exported(make_document({make_skipped()}), ExportFormat::kCsv);
  EXPECT_NE(csv.find(",skipped,"), std::string::npos);
  EXPECT_EQ(silence, "");
  EXPECT_EQ(exported(over_stand_in(), ExportFormat::kBencher).second.find("llep: warning: "), 0U);
}

TEST(ExportCommand, two_files_are_no_standard_output) {
  EXPECT_THROW(
      export_command({.result = "x", .format = ExportFormat::kGithubAction, .output = "-"}), Error);
}

}  // namespace
}  // namespace llep
