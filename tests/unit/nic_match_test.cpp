// SPDX-License-Identifier: MIT
#include "transport/verbs/nic_match.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <random>

#include <gtest/gtest.h>
#include <unistd.h>

#include "transport/verbs/selection.hpp"

namespace llep {
namespace {

using Distances = std::vector<std::vector<int>>;

int total(const Distances& distance, const std::vector<int>& nic_of) {
  int sum = 0;
  for (std::size_t rank = 0; rank < nic_of.size(); ++rank) {
    sum += distance[rank][static_cast<std::size_t>(nic_of[rank])];
  }
  return sum;
}

/// The least total by trying everything.
int least_total(const Distances& distance) {
  const std::size_t num_nics = distance.front().size();
  const std::size_t share = (distance.size() + num_nics - 1) / num_nics;
  std::vector<int> seats;  // each NIC as often as it may be taken
  for (std::size_t i = 0; i < num_nics * share; ++i) {
    seats.push_back(static_cast<int>(i / share));
  }
  int least = std::numeric_limits<int>::max();
  do {
    const std::vector<int> nic_of(seats.begin(),
                                  seats.begin() + static_cast<std::ptrdiff_t>(distance.size()));
    least = std::min(least, total(distance, nic_of));
  } while (std::next_permutation(seats.begin(), seats.end()));
  return least;
}

PciPlace at(const std::string& path, int numa_node) {
  return {.path = path, .numa_node = numa_node};
}

TEST(PciDistance, grows_with_the_way_and_with_the_processor) {
  const PciPlace gpu = at("pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0/0000:03:00.0", 0);
  const PciPlace same_switch =
      at("pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:01.0/0000:04:00.0", 0);
  const PciPlace same_root = at("pci0000:00/0000:00:02.0/0000:05:00.0", 0);
  const PciPlace other_root = at("pci0000:40/0000:40:01.0/0000:41:00.0", 0);
  const PciPlace other_processor = at("pci0000:80/0000:80:01.0/0000:81:00.0", 1);
  const PciPlace no_pci = {};

  EXPECT_EQ(pci_distance(gpu, gpu), 0);
  EXPECT_EQ(pci_distance(gpu, same_switch), 4);
  EXPECT_EQ(pci_distance(same_switch, gpu), 4);
  EXPECT_LT(pci_distance(gpu, same_switch), pci_distance(gpu, same_root));
  EXPECT_LT(pci_distance(gpu, same_root), pci_distance(gpu, other_root));
  EXPECT_LT(pci_distance(gpu, other_root), pci_distance(gpu, other_processor));
  EXPECT_EQ(pci_distance(gpu, no_pci), pci_distance(gpu, other_processor));
  EXPECT_EQ(pci_distance(no_pci, no_pci), pci_distance(gpu, other_processor));
}

TEST(PciPlace, is_read_from_a_link_in_sysfs) {
  const std::filesystem::path root =
      std::filesystem::path(testing::TempDir()) / ("llep_sysfs_" + std::to_string(getpid()));
  const auto device = root / "devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0";
  std::filesystem::create_directories(device);
  std::ofstream(device / "numa_node") << "1\n";
  std::filesystem::create_directory_symlink(device, root / "link");

  const PciPlace place = place_of((root / "link").string());
  EXPECT_EQ(place.path, "pci0000:3a/0000:3a:00.0/0000:3b:00.0");
  EXPECT_EQ(place.numa_node, 1);
  EXPECT_EQ(place.bus_id(), "0000:3b:00.0");
  std::filesystem::remove_all(root);

  EXPECT_EQ(place_of("/nowhere").path, "");
  EXPECT_EQ(place_of("/nowhere").bus_id(), "");
  EXPECT_EQ(place_of("/tmp").path, "");
}

TEST(MatchNics, each_gpu_gets_the_nic_beside_it) {
  // Eight GPUs, each with a NIC behind its own switch; two processors.
  Distances distance;
  for (int gpu = 0; gpu < 8; ++gpu) {
    std::vector<int>& row = distance.emplace_back();
    for (int nic = 0; nic < 8; ++nic) {
      row.push_back(gpu == nic ? 4 : gpu / 4 == nic / 4 ? 100 : 200);
    }
  }
  EXPECT_EQ(match_nics(distance), (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST(MatchNics, is_not_greedy) {
  // Rank 0 would take NIC 0, and leave the far one to rank 1.
  EXPECT_EQ(match_nics({{4, 6}, {4, 200}}), (std::vector<int>{1, 0}));
  // A chain: each moves on by one for the last.
  EXPECT_EQ(match_nics({{4, 5, 200}, {200, 4, 5}, {4, 200, 200}}), (std::vector<int>{1, 2, 0}));
}

TEST(MatchNics, shares_evenly_where_nics_are_fewer) {
  // Two GPUs at each of two NICs, one after the other and interleaved.
  EXPECT_EQ(match_nics({{4, 200}, {4, 200}, {200, 4}, {200, 4}}), (std::vector<int>{0, 0, 1, 1}));
  EXPECT_EQ(match_nics({{4, 200}, {200, 4}, {4, 200}, {200, 4}}), (std::vector<int>{0, 1, 0, 1}));
  // All GPUs are nearer to NIC 0.
  const auto nic_of = match_nics({{4, 8}, {4, 8}, {4, 8}, {4, 8}});
  EXPECT_EQ(std::count(nic_of.begin(), nic_of.end(), 0), 2);
}

TEST(MatchNics, takes_nics_in_order_where_distances_say_nothing) {
  EXPECT_EQ(match_nics({{0, 0, 0}, {0, 0, 0}, {0, 0, 0}}), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(match_nics({{0}, {0}, {0}}), (std::vector<int>{0, 0, 0}));
  EXPECT_EQ(match_nics({{200, 200, 200}}), (std::vector<int>{0}));
}

TEST(MatchNics, is_never_worse_than_any_other_assignment) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const std::size_t num_ranks = 1 + random() % 5;
    const std::size_t num_nics = 1 + random() % 4;
    Distances distance(num_ranks);
    for (auto& row : distance) {
      for (std::size_t i = 0; i < num_nics; ++i) row.push_back(static_cast<int>(random() % 12));
    }
    EXPECT_EQ(total(distance, match_nics(distance)), least_total(distance)) << "round " << round;
  }
}

PortOffer offer(const std::string& node, const std::vector<PortOffer::Choice>& choices) {
  return {.node = node, .choices = choices};
}

/// The message of an Error with this code.
std::string refusal(ExitCode code, const std::vector<PortOffer>& offers,
                    const std::vector<std::string>& nic_map) {
  try {
    assign_ports(offers, nic_map);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "nothing was thrown";
}

using Names = std::vector<std::string>;

TEST(AssignPorts, matches_each_node_for_itself) {
  const std::vector<PortOffer::Choice> near_0 = {{"mlx5_0", 4}, {"mlx5_1", 100}};
  const std::vector<PortOffer::Choice> near_1 = {{"mlx5_0", 100}, {"mlx5_1", 4}};
  // Ranks of two nodes in turn.
  EXPECT_EQ(
      assign_ports({offer("a", near_1), offer("b", near_0), offer("a", near_0), offer("b", near_1)},
                   {}),
      (Names{"mlx5_1", "mlx5_0", "mlx5_0", "mlx5_1"}));
}

TEST(AssignPorts, a_rank_gets_no_port_that_it_does_not_see) {
  EXPECT_EQ(
      assign_ports({offer("a", {{"mlx5_0", 0}, {"mlx5_1", 0}}), offer("a", {{"mlx5_0", 0}})}, {}),
      (Names{"mlx5_1", "mlx5_0"}));
  EXPECT_EQ(refusal(ExitCode::kUnavailable,
                    {offer("a", {{"mlx5_0", 0}, {"mlx5_1", 0}}), offer("a", {{"mlx5_0", 0}}),
                     offer("a", {{"mlx5_0", 0}}), offer("a", {{"mlx5_0", 0}})},
                    {}),
            "verbs: no port is left for rank 3, which sees only mlx5_0 while its node has more; "
            "name ports with --nic-map");
}

TEST(AssignPorts, takes_names_as_they_are_given) {
  const std::vector<PortOffer> offers(2, offer("a", {{"mlx5_0", 0}, {"mlx5_0:2", 0}}));
  EXPECT_EQ(assign_ports(offers, {"mlx5_0:2", "mlx5_0:1"}), (Names{"mlx5_0:2", "mlx5_0"}));
  EXPECT_EQ(assign_ports(offers, {"mlx5_0:2"}), (Names{"mlx5_0:2", "mlx5_0:2"}));
  EXPECT_EQ(refusal(ExitCode::kUsage, offers, {"mlx5_7"}),
            "--nic-map: rank 0 has no usable port mlx5_7; it has mlx5_0, mlx5_0:2");
  EXPECT_EQ(refusal(ExitCode::kUsage, std::vector<PortOffer>(3, offers[0]), {"mlx5_0", "mlx5_0"}),
            "--nic-map names 2 ports for the 3 ranks of a node: name one for each rank, or one for "
            "all");
}

}  // namespace
}  // namespace llep
