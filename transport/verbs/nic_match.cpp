// SPDX-License-Identifier: MIT
#include "transport/verbs/nic_match.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

namespace llep {

namespace {

constexpr int kSameProcessor = 100;
constexpr int kOtherProcessor = 200;

std::vector<std::string> parts(const std::string& path) {
  std::vector<std::string> parts;
  std::istringstream in(path);
  for (std::string part; std::getline(in, part, '/');) parts.push_back(part);
  return parts;
}

/// Ways to give one more rank a NIC: taking a NIC may move a rank that has it to another one.
struct Ways {
  std::vector<int> cost;  // [num_nics] of having taken the NIC, moves included
  std::vector<int>
      evicted;  // [num_nics] the rank that would come here from its NIC; -1: the new one
};

Ways find_ways(const std::vector<std::vector<int>>& distance, const std::vector<int>& nic_of,
               const std::vector<int>& new_rank) {
  Ways ways{.cost = new_rank, .evicted = std::vector<int>(new_rank.size(), -1)};
  for (bool better = true; better;) {
    better = false;
    for (std::size_t rank = 0; rank < nic_of.size(); ++rank) {
      const auto from = static_cast<std::size_t>(nic_of[rank]);
      for (std::size_t to = 0; to < new_rank.size(); ++to) {
        const int cost = ways.cost[from] + distance[rank][to] - distance[rank][from];
        if (cost >= ways.cost[to]) continue;
        ways.cost[to] = cost;
        ways.evicted[to] = static_cast<int>(rank);
        better = true;
      }
    }
  }
  return ways;
}

}  // namespace

PciPlace place_of(const std::string& sysfs_link) {
  std::error_code error;
  const auto folder = std::filesystem::canonical(sysfs_link, error);
  if (error) return {};
  const std::string path = folder.string();
  const std::size_t root = path.find("/pci");
  if (root == std::string::npos) return {};
  PciPlace place{.path = path.substr(root + 1)};
  std::ifstream(folder / "numa_node") >> place.numa_node;
  return place;
}

int pci_distance(const PciPlace& a, const PciPlace& b) {
  const auto one = parts(a.path);
  const auto other = parts(b.path);
  const auto [end, other_end] = std::mismatch(one.begin(), one.end(), other.begin(), other.end());
  if (end != one.begin()) {
    return static_cast<int>((one.end() - end) + (other.end() - other_end));
  }
  const bool same_processor = a.numa_node >= 0 && a.numa_node == b.numa_node;
  return same_processor ? kSameProcessor : kOtherProcessor;
}

// Ranks are added one by one, each along the cheapest chain of moves that ends at a NIC with room.
// What is cheapest for the ranks so far stays so: no cycle of moves gains anything, so the chains
// are found by relaxing until nothing gets cheaper.
std::vector<int> match_nics(const std::vector<std::vector<int>>& distance) {
  const std::size_t num_nics = distance.front().size();
  const auto share = static_cast<int>((distance.size() + num_nics - 1) / num_nics);
  std::vector<int> load(num_nics, 0);
  std::vector<int> nic_of;
  for (const std::vector<int>& new_rank : distance) {
    const Ways ways = find_ways(distance, nic_of, new_rank);
    int nic = -1;
    int least = std::numeric_limits<int>::max();
    for (std::size_t i = 0; i < num_nics; ++i) {
      if (load[i] == share || ways.cost[i] >= least) continue;
      nic = static_cast<int>(i);
      least = ways.cost[i];
    }
    ++load[static_cast<std::size_t>(nic)];
    for (int rank; (rank = ways.evicted[static_cast<std::size_t>(nic)]) >= 0;) {
      std::swap(nic_of[static_cast<std::size_t>(rank)], nic);
    }
    nic_of.push_back(nic);
  }
  return nic_of;
}

}  // namespace llep
