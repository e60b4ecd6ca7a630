// SPDX-License-Identifier: MIT
// Against libraries that answer like NVML (fake_nvml.cpp).
#include "common/exec/gpu_health.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace llep {
namespace {

constexpr const char* kBusId = "0000:3b:00.0";
constexpr const char* kProcesses = "nvmlDeviceGetComputeRunningProcesses_v3";
constexpr const char* kReasons = "nvmlDeviceGetCurrentClocksEventReasons";

unsigned own_pid() { return static_cast<unsigned>(::getpid()); }

class Nvml : public testing::Test {
 protected:
  ~Nvml() override {
    for (const std::string& name : told_) ::unsetenv(name.c_str());
    ::unsetenv("fake_nvml");
  }
  void tell(const std::string& function, const std::string& answer) {
    ::setenv(function.c_str(), answer.c_str(), 1);
    told_.insert(function);
  }

 private:
  std::set<std::string> told_;
};

OwnProcesses alone() { return {.of_node = {own_pid()}, .this_process = own_pid()}; }

/// What is known after one sample, or after none.
std::optional<GpuHealth> sampled(OwnProcesses own = alone(), const char* library = FAKE_NVML) {
  GpuMonitor monitor(kBusId, std::move(own), library);
  monitor.sample();
  return monitor.health();
}

/// Which members are unknown.
std::set<std::string> unknown(const GpuHealth& health) {
  const std::map<std::string, bool> known = {
      {"sm_mhz_min", health.sm_mhz_min.has_value()},
      {"sm_mhz_max", health.sm_mhz_max.has_value()},
      {"mem_mhz", health.mem_mhz.has_value()},
      {"clocks_event_reasons", health.clocks_event_reasons.has_value()},
      {"sm_mhz_limit", health.sm_mhz_limit.has_value()},
      {"ecc", health.ecc.has_value()},
      {"ecc_errors", health.ecc_errors.has_value()},
      {"other_processes", health.other_processes.has_value()},
      {"temperature_c_max", health.temperature_c_max.has_value()},
      {"power_w_max", health.power_w_max.has_value()}};
  std::set<std::string> names;
  for (const auto& [name, is_known] : known) {
    if (!is_known) names.insert(name);
  }
  return names;
}

TEST_F(Nvml, TellsEverything) {
  const auto health = sampled();
  ASSERT_TRUE(health);
  EXPECT_EQ(unknown(*health), std::set<std::string>());
  EXPECT_EQ(health->sm_mhz_min, 1935U);
  EXPECT_EQ(health->sm_mhz_max, 1935U);
  EXPECT_EQ(health->mem_mhz, 2619U);
  EXPECT_EQ(health->sm_mhz_limit, 1980U);
  EXPECT_EQ(health->clocks_event_reasons, 0U);
  EXPECT_EQ(health->ecc, true);
  EXPECT_EQ(health->ecc_errors, 0U);
  EXPECT_EQ(health->other_processes, 0U);
  EXPECT_EQ(health->temperature_c_max, 41U);
  EXPECT_EQ(health->power_w_max, 350.5);
}

TEST_F(Nvml, TellsTheDriver) {
  const auto driver = [](const char* library) {
    return GpuMonitor(kBusId, alone(), library).driver();
  };
  EXPECT_EQ(driver(FAKE_NVML), "580.95.05");
  EXPECT_EQ(driver("libno-such-library.so.1"), std::nullopt);
  tell("nvmlSystemGetDriverVersion", "fail");
  EXPECT_EQ(driver(FAKE_NVML), std::nullopt);
}

TEST_F(Nvml, IsLeftShutDown) {
  {
    const GpuMonitor monitor(kBusId, alone(), FAKE_NVML);
    EXPECT_STREQ(std::getenv("fake_nvml"), "in use");
  }
  EXPECT_STREQ(std::getenv("fake_nvml"), "shut down");
}

TEST_F(Nvml, WithoutItNothingIsKnown) {
  EXPECT_FALSE(sampled(alone(), "libno-such-library.so.1"));
  EXPECT_FALSE(sampled(alone(), "libm.so.6"));  // none of its functions
  GpuMonitor elsewhere("0000:3c:00.0", alone(), FAKE_NVML);
  elsewhere.sample();
  EXPECT_FALSE(elsewhere.health());
  tell("nvmlInit_v2", "fail");
  EXPECT_FALSE(sampled());
}

TEST_F(Nvml, AFunctionThatIsMissingLeavesItsAnswerUnknown) {
  tell("nvmlDeviceGetCurrentClocksThrottleReasons", "0x4");
  const auto health = sampled(alone(), FAKE_NVML_OLD);
  ASSERT_TRUE(health);
  EXPECT_EQ(unknown(*health), std::set<std::string>({"other_processes"}));
  EXPECT_EQ(health->clocks_event_reasons, 4U);  // by the name it had
}

TEST_F(Nvml, AQueryThatFailsLeavesItsAnswerUnknown) {
  const std::map<std::string, std::set<std::string>> answers = {
      {"nvmlDeviceGetClockInfo/sm", {"sm_mhz_min", "sm_mhz_max"}},
      {"nvmlDeviceGetClockInfo/mem", {"mem_mhz"}},
      {"nvmlDeviceGetMaxClockInfo", {"sm_mhz_limit"}},
      {kReasons, {"clocks_event_reasons"}},
      {"nvmlDeviceGetEccMode", {"ecc"}},
      {"nvmlDeviceGetTotalEccErrors", {"ecc_errors"}},
      {kProcesses, {"other_processes"}},
      {"nvmlDeviceGetTemperature", {"temperature_c_max"}},
      {"nvmlDeviceGetPowerUsage", {"power_w_max"}}};
  for (const auto& [function, members] : answers) {
    tell(function, "fail");
    const auto health = sampled();
    ::unsetenv(function.c_str());
    ASSERT_TRUE(health) << function;
    EXPECT_EQ(unknown(*health), members) << function;
  }
}

TEST_F(Nvml, ClocksAreThoseOfWork) {
  tell(kReasons, "1");
  tell("nvmlDeviceGetClockInfo/sm", "345");
  const GpuMonitor monitor(kBusId, alone(), FAKE_NVML);
  EXPECT_EQ(unknown(monitor.health().value()),
            std::set<std::string>({"sm_mhz_min", "sm_mhz_max", "mem_mhz", "clocks_event_reasons"}));
}

TEST_F(Nvml, SamplesAddUp) {
  const std::vector<std::map<std::string, std::string>> samples = {
      {{"nvmlDeviceGetClockInfo/sm", "1700"},
       {kReasons, "0x1"},
       {"nvmlDeviceGetTemperature", "60"}},
      {{"nvmlDeviceGetClockInfo/sm", "1200"},
       {kReasons, "0x44"},
       {"nvmlDeviceGetPowerUsage", "700000"}},
      {{"nvmlDeviceGetClockInfo/sm", "1980"}, {kReasons, "0"}, {kProcesses, "7 8 9"}},
      {{"nvmlDeviceGetClockInfo/sm", "fail"},
       {kReasons, "fail"},
       {kProcesses, "fail"},
       {"nvmlDeviceGetTotalEccErrors", "3"},
       {"nvmlDeviceGetTemperature", "50"}}};
  GpuMonitor monitor(kBusId, alone(), FAKE_NVML);
  for (const auto& sample : samples) {
    for (const auto& [function, answer] : sample) tell(function, answer);
    monitor.sample();
  }
  const GpuHealth health = monitor.health().value();
  EXPECT_EQ(health.sm_mhz_min, 1200U);
  EXPECT_EQ(health.sm_mhz_max, 1980U);
  EXPECT_EQ(health.clocks_event_reasons, 0x45U);
  EXPECT_EQ(health.temperature_c_max, 60U);
  EXPECT_EQ(health.power_w_max, 700.0);
  EXPECT_EQ(health.other_processes, 2U);
  EXPECT_EQ(health.ecc_errors, 3U);
}

TEST_F(Nvml, OwnRanksAreNoOtherProcesses) {
  OwnProcesses two = {.of_node = {own_pid(), 7}, .this_process = own_pid(), .num_on_gpu = 2};
  const std::string own = std::to_string(own_pid());
  tell(kProcesses, own + " 7");
  EXPECT_EQ(sampled(two)->other_processes, 0U);
  tell(kProcesses, "8 7 " + own);
  EXPECT_EQ(sampled(two)->other_processes, 1U);
  // A rank of another GPU may have memory on this one.
  two.num_on_gpu = 1;
  tell(kProcesses, own + " 7");
  EXPECT_EQ(sampled(two)->other_processes, 0U);
}

TEST_F(Nvml, IdsOfAnotherNamespaceAreCounted) {
  OwnProcesses two = {.of_node = {own_pid(), 7}, .this_process = own_pid(), .num_on_gpu = 2};
  tell(kProcesses, "1001 1002");
  EXPECT_EQ(sampled(two)->other_processes, 0U);
  EXPECT_EQ(sampled()->other_processes, 1U);
  tell(kProcesses, "1001");  // a list that lacks this run
  EXPECT_EQ(sampled(two)->other_processes, std::nullopt);
  tell(kProcesses, "none");
  EXPECT_EQ(sampled()->other_processes, std::nullopt);
}

TEST_F(Nvml, ManyProcessesAreCounted) {
  std::string pids = std::to_string(own_pid());
  for (int i = 0; i < 200; ++i) pids += " " + std::to_string(5'000'000 + i);
  tell(kProcesses, pids);
  EXPECT_EQ(sampled()->other_processes, 200U);
}

TEST(ClocksEventReasons, HaveWords) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(clocks_event_words(0), Words());
  EXPECT_EQ(clocks_event_words(0x1ff),
            Words({"gpu_idle", "applications_clocks_setting", "sw_power_cap", "hw_slowdown",
                   "sync_boost", "sw_thermal_slowdown", "hw_thermal_slowdown",
                   "hw_power_brake_slowdown", "display_clock_setting"}));
  EXPECT_EQ(clocks_event_words(0x8000000000000204),
            Words({"sw_power_cap", "0x200", "0x8000000000000000"}));
}

TEST(ClocksEventReasons, ThrottleByHeatAndPower) {
  EXPECT_EQ(throttling(0x1ff), 0xecU);
  EXPECT_EQ(throttling(0x113), 0U);
}

}  // namespace
}  // namespace llep
