// SPDX-License-Identifier: MIT
#include "bench/health.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "bench/report.hpp"
#include "common/thread_communicator.hpp"
#include "tests/unit/report_fixture.hpp"

namespace llep {
namespace {

using namespace report_fixture;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

TEST(Health, UnknownIsNullAndZeroIsZero) {
  const Json all = to_json(RanksHealth{make_health(), GpuHealth(), std::nullopt});
  EXPECT_EQ(all[0], Json({{"sm_mhz_min", 1755},
                          {"sm_mhz_max", 1980},
                          {"sm_mhz_limit", 1980},
                          {"mem_mhz", 2619},
                          {"throttled", false},
                          {"clocks_event_reasons", {"gpu_idle"}},
                          {"ecc", true},
                          {"ecc_errors", 0},
                          {"other_processes", 0},
                          {"temperature_c_max", 41},
                          {"power_w_max", 350.5}}));
  EXPECT_EQ(all[1].size(), all[0].size());
  for (const auto& [key, value] : all[1].items()) EXPECT_TRUE(value.is_null()) << key;
  EXPECT_TRUE(all[2].is_null());
}

TEST(Health, IsNullWhereNoRankHasAny) {
  EXPECT_TRUE(to_json(RanksHealth()).is_null());
  EXPECT_TRUE(to_json(RanksHealth(2)).is_null());
}

TEST(Health, WarnsOfWhatSpoilsTimes) {
  EXPECT_EQ(warnings_of({make_health(), GpuHealth(), std::nullopt}), std::vector<std::string>());
  EXPECT_EQ(
      warnings_of(make_sick()),
      std::vector<std::string>({"rank 0: its GPU was throttled (sw_power_cap, hw_thermal_slowdown)",
                                "rank 0: 12 uncorrected ECC errors of its GPU",
                                "rank 2: 1 other process used its GPU",
                                "rank 2: 1 uncorrected ECC error of its GPU",
                                "rank 3: 2 other processes used its GPU"}));
  EXPECT_EQ(to_json(make_sick())[0]["throttled"], true);
}

class PlainReport final : public Report {
 public:
  PlainReport(Communicator& world, const fs::path& path) : Report(world) {
    if (world.rank() == 0) file_.emplace(path, make_context(), RunOptions());
  }

 private:
  ResultDocument* document() override { return file_ ? &*file_ : nullptr; }
  std::optional<ResultDocument> file_;
};

TEST(Health, IsInTheFileAndItsWarningsAreSaidInTheEnd) {
  const fs::path path =
      fs::path(testing::TempDir()) / ("llep_" + std::to_string(::getpid()) + "_health.json");
  const auto read = [&] {
    std::ifstream file(path);
    return Json::parse(file)["context"];
  };
  testing::internal::CaptureStdout();
  run_ranks(2, [&](Communicator& world) {
    PlainReport report(world, path);
    report.set(RanksHealth(2));
    if (world.rank() == 0) {
      EXPECT_TRUE(read()["gpu_health"].is_null());
      EXPECT_EQ(read()["warnings"], Json::array());
    }
    report.set(make_sick());
    if (world.rank() == 0) {
      EXPECT_EQ(read()["gpu_health"], to_json(make_sick()));
      EXPECT_EQ(read()["warnings"], Json(warnings_of(make_sick())));
    }
    report.set(make_sick());
    report.end(true);
  });
  const std::string said = testing::internal::GetCapturedStdout();
  EXPECT_EQ(said.find("warning: rank 0: its GPU was throttled (sw_power_cap, hw_thermal"), 0U)
      << said;
  EXPECT_NE(said.find("\nwarning: rank 3: 2 other processes used its GPU\nresults: "),
            std::string::npos)
      << said;
  EXPECT_EQ(said.find("throttled"), said.rfind("throttled"));
  fs::remove(path);
}

}  // namespace
}  // namespace llep
