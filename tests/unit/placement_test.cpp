// SPDX-License-Identifier: MIT
#include "common/placement.hpp"

#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <hwloc.h>

namespace llep {
namespace {

constexpr const char* kGpu = "0000:3b:00.0";

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

void run_on(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(cpu, &set);
  ASSERT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
}

/// As hwloc's XML writes a set of these indices.
std::string mask(const std::vector<int>& indices) {
  hwloc_bitmap_t bits = hwloc_bitmap_alloc();
  for (const int index : indices) hwloc_bitmap_set(bits, static_cast<unsigned>(index));
  char* text = nullptr;
  hwloc_bitmap_asprintf(&text, bits);
  const std::string result = text;
  std::free(text);
  hwloc_bitmap_free(bits);
  return result;
}

std::string sets(const std::vector<int>& cpus, const std::vector<int>& nodes) {
  return fmt::format("cpuset='{0}' complete_cpuset='{0}' nodeset='{1}' complete_nodeset='{1}'",
                     mask(cpus), mask(nodes));
}

/// One package with one cpu, its NUMA node and, inside, what `devices` says.
std::string package(int index, int cpu, const std::string& devices) {
  return fmt::format(
      "<object type='Package' os_index='{0}' {1} gp_index='{2}0'>"
      "<object type='NUMANode' os_index='{0}' {1} gp_index='{2}1' local_memory='1073741824'/>"
      "<object type='PU' os_index='{3}' {1} gp_index='{2}2'/>{4}</object>",
      index, sets({cpu}, {index}), index + 1, cpu, devices);
}

/// A machine of two NUMA nodes made of two cpus that this process really has; the GPU is at the
/// second. Affinity and environment are put back after each test.
class PlacementTest : public testing::Test {
 protected:
  void SetUp() override {
    cpus_ = allowed_cpus();
    if (cpus_.size() < 2) GTEST_SKIP() << "needs two cpus, this process has " << cpus_.size();
    far_ = cpus_[0];
    near_ = cpus_[1];
    const std::string gpu = fmt::format(
        "<object type='Bridge' gp_index='100' bridge_type='0-1' depth='0' "
        "bridge_pci='0000:[3b-3b]'><object type='PCIDev' gp_index='101' pci_busid='{}' "
        "pci_type='0302 [10de:2330] [10de:16c1] a1'/></object>",
        kGpu);
    file_ = fmt::format("{}llep_placement_{}.xml", testing::TempDir(), getpid());
    std::ofstream(file_) << fmt::format(
        "<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE topology SYSTEM 'hwloc2.dtd'>"
        "<topology version='2.0'><object type='Machine' os_index='0' {} allowed_cpuset='{}' "
        "allowed_nodeset='{}' gp_index='1'>{}{}</object></topology>",
        sets({far_, near_}, {0, 1}), mask({far_, near_}), mask({0, 1}), package(0, far_, ""),
        package(1, near_, gpu));
    setenv("HWLOC_XMLFILE", file_.c_str(), 1);
    setenv("HWLOC_THISSYSTEM", "1", 1);
    run_on({far_, near_});
  }

  void TearDown() override {
    unsetenv("HWLOC_XMLFILE");
    unsetenv("HWLOC_THISSYSTEM");
    if (!cpus_.empty()) run_on(cpus_);
    if (!file_.empty()) std::remove(file_.c_str());
  }

  std::vector<int> cpus_;
  int far_ = 0;
  int near_ = 0;
  std::string file_;
};

TEST_F(PlacementTest, binds_to_the_cpus_of_the_devices_numa_node) {
  const Placement placement = bind_near_pci(kGpu, 1, 4);
  EXPECT_TRUE(placement.bound);
  EXPECT_EQ(placement.cpuset, std::to_string(near_));
  EXPECT_EQ(placement.numa_node, 1);
  EXPECT_EQ(placement.reason,
            "local rank 1 of 4, device 0000:3b:00.0: bound to the cpus near its device");
  EXPECT_EQ(allowed_cpus(), std::vector<int>{near_});
}

TEST_F(PlacementTest, accepts_cudas_capital_letters) {
  EXPECT_EQ(bind_near_pci("0000:3B:00.0", 0, 1).cpuset, std::to_string(near_));
}

TEST_F(PlacementTest, keeps_the_launchers_binding_near_the_device) {
  run_on({near_});
  const Placement placement = bind_near_pci(kGpu, 0, 1);
  EXPECT_TRUE(placement.bound);
  EXPECT_EQ(placement.cpuset, std::to_string(near_));
  EXPECT_NE(placement.reason.find("launcher's binding is kept"), std::string::npos);
}

TEST_F(PlacementTest, says_that_the_launcher_bound_it_away_from_the_device) {
  run_on({far_});
  const Placement placement = bind_near_pci(kGpu, 0, 1);
  EXPECT_TRUE(placement.bound);
  EXPECT_EQ(placement.cpuset, std::to_string(far_));
  EXPECT_EQ(placement.numa_node, 0);
  EXPECT_NE(placement.reason.find("mpirun --bind-to none"), std::string::npos);
  EXPECT_EQ(allowed_cpus(), std::vector<int>{far_});
}

TEST_F(PlacementTest, an_unknown_device_binds_nothing) {
  for (const char* id : {"0000:99:00.0", "nonsense", ""}) {
    const Placement placement = bind_near_pci(id, 0, 1);
    EXPECT_FALSE(placement.bound);
    EXPECT_EQ(placement.numa_node, -1);  // both
    EXPECT_NE(placement.reason.find("sees no PCI device"), std::string::npos);
  }
  EXPECT_EQ(allowed_cpus(), (std::vector<int>{far_, near_}));
}

TEST_F(PlacementTest, the_host_executor_binds_nothing) {
  const Placement placement = bind_near_pci(std::nullopt, 0, 2);
  EXPECT_FALSE(placement.bound);
  EXPECT_EQ(placement.reason, "local rank 0 of 2: not bound by llep, its device is the host");
  EXPECT_EQ(allowed_cpus(), (std::vector<int>{far_, near_}));
}

TEST_F(PlacementTest, binds_one_thread_alone) {
  std::thread([&] {
    const Placement placement = bind_thread_near_pci(kGpu, "proxies");
    EXPECT_TRUE(placement.bound);
    EXPECT_EQ(placement.cpuset, std::to_string(near_));
    EXPECT_EQ(placement.reason,
              "proxies, device 0000:3b:00.0: bound to the cpus near its device");
    EXPECT_EQ(allowed_cpus(), std::vector<int>{near_});
  }).join();
  EXPECT_EQ(allowed_cpus(), (std::vector<int>{far_, near_}));
  EXPECT_EQ(bind_thread_near_pci("0000:99:00.0", "proxies").reason,
            "proxies: not bound by llep, hwloc sees no PCI device 0000:99:00.0");
}

TEST_F(PlacementTest, current_placement_tells_what_the_launcher_did) {
  EXPECT_FALSE(current_placement().bound);
  run_on({far_});
  const Placement placement = current_placement();
  EXPECT_TRUE(placement.bound);
  EXPECT_EQ(placement.cpuset, std::to_string(far_));
  EXPECT_EQ(placement.reason, "bound by the launcher");
}

TEST_F(PlacementTest, a_topology_that_cannot_be_read_is_no_error) {
  std::ofstream(file_, std::ios::trunc) << "not xml";
  const Placement placement = bind_near_pci(kGpu, 0, 1);
  EXPECT_FALSE(placement.bound);
  EXPECT_FALSE(placement.reason.empty());
}

TEST(Placement, describes_the_real_machine) {
  const Placement placement = current_placement();
  EXPECT_FALSE(placement.cpuset.empty());
  EXPECT_FALSE(placement.reason.empty());
}

}  // namespace
}  // namespace llep
