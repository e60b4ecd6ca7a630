// SPDX-License-Identifier: MIT
#include "transport/verbs/selection.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace llep {

namespace {

/// Of the kernel that runs here: containers of one machine share it, and the machine's NICs.
std::string node_text() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  if (!id.empty()) return id;
  std::array<char, 256> host = {};
  return ::gethostname(host.data(), host.size() - 1) == 0 ? host.data() : "?";
}

/// Management and storage NICs are often slower than those meant for GPUs.
void drop_slow(std::vector<Port>& ports) {
  double fastest = 0;
  for (const Port& port : ports) fastest = std::max(fastest, port.gigabits);
  std::erase_if(ports, [&](const Port& port) { return port.gigabits < fastest / 2; });
}

std::string write_offer(const std::vector<Port>& ports, const VerbsRank& mine) {
  std::string text = node_text() + "\n";
  PciPlace gpu;
  if (mine.gpu_pci_bus_id) {
    std::string id = *mine.gpu_pci_bus_id;  // sysfs writes small letters
    std::transform(id.begin(), id.end(), id.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    gpu = place_of("/sys/bus/pci/devices/" + id);
  }
  for (const Port& port : ports) {
    text += fmt::format("{} {}\n", port.name(),
                        mine.gpu_pci_bus_id ? pci_distance(gpu, port.place) : 0);
  }
  return text;
}

PortOffer read_offer(const std::string& text) {
  std::istringstream in(text);
  PortOffer offer;
  std::getline(in, offer.node);
  for (PortOffer::Choice choice; in >> choice.name >> choice.distance;) {
    offer.choices.push_back(choice);
  }
  return offer;
}

using Ranks = std::vector<std::size_t>;

/// Ranks of a node in order, nodes in the order of their first rank.
std::vector<Ranks> ranks_by_node(const std::vector<PortOffer>& offers) {
  std::map<std::string, std::size_t> index;
  std::vector<Ranks> nodes;
  for (std::size_t rank = 0; rank < offers.size(); ++rank) {
    const auto [found, is_new] = index.emplace(offers[rank].node, nodes.size());
    if (is_new) nodes.emplace_back();
    nodes[found->second].push_back(rank);
  }
  return nodes;
}

std::vector<std::string> match_node(const std::vector<PortOffer>& offers, const Ranks& ranks) {
  std::set<std::string> all;
  for (const std::size_t rank : ranks) {
    for (const auto& choice : offers[rank].choices) all.insert(choice.name);
  }
  const std::vector<std::string> names(all.begin(), all.end());
  std::vector<std::vector<int>> distance;
  for (const std::size_t rank : ranks) {
    std::vector<int>& row = distance.emplace_back(names.size(), kNoNic);
    for (const auto& choice : offers[rank].choices) {
      row[static_cast<std::size_t>(std::distance(all.begin(), all.find(choice.name)))] =
          choice.distance;
    }
  }
  std::vector<std::string> chosen;
  for (const int nic : match_nics(distance)) chosen.push_back(names[static_cast<std::size_t>(nic)]);
  return chosen;
}

std::vector<std::string> map_node(const std::vector<std::string>& nic_map, std::size_t num_ranks) {
  if (nic_map.size() != 1 && nic_map.size() < num_ranks) {
    throw Error(ExitCode::kUsage,
                fmt::format("--nic-map names {} ports for the {} ranks of a node: name one for "
                            "each rank, or one for all",
                            nic_map.size(), num_ranks));
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < num_ranks; ++i) {
    std::string name = nic_map[nic_map.size() == 1 ? 0 : i];
    if (name.ends_with(":1")) name.resize(name.size() - 2);  // as Port::name writes it
    names.push_back(name);
  }
  return names;
}

void check_offered(const PortOffer& offer, const std::string& name, std::size_t rank, bool mapped) {
  std::vector<std::string> names;
  for (const auto& choice : offer.choices) names.push_back(choice.name);
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  const std::string has = fmt::format("{}", fmt::join(names, ", "));
  if (mapped) {
    throw Error(ExitCode::kUsage, fmt::format("--nic-map: rank {} has no usable port {}; it has {}",
                                              rank, name, has));
  }
  throw Error(ExitCode::kUnavailable,
              fmt::format("verbs: no port is left for rank {}, which sees only {} while its node "
                          "has more; name ports with --nic-map",
                          rank, has));
}

std::string device_of(const std::string& port) { return port.substr(0, port.find(':')); }

}  // namespace

std::vector<std::string> assign_ports(const std::vector<PortOffer>& offers,
                                      const std::vector<std::string>& nic_map) {
  std::vector<std::string> names(offers.size());
  for (const Ranks& ranks : ranks_by_node(offers)) {
    const auto chosen =
        nic_map.empty() ? match_node(offers, ranks) : map_node(nic_map, ranks.size());
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      check_offered(offers[ranks[i]], chosen[i], ranks[i], !nic_map.empty());
      names[ranks[i]] = chosen[i];
    }
  }
  return names;
}

ChosenPort choose_port(Communicator& world, const VerbsOptions& options, const VerbsRank& mine) {
  std::vector<Port> ports;
  collectively(world, [&] {
    ports = usable_ports();
    if (options.nic_map.empty()) drop_slow(ports);
  });
  std::vector<PortOffer> offers;
  for (const std::string& text : gather_strings(world, write_offer(ports, mine))) {
    offers.push_back(read_offer(text));
  }
  const auto names = same_everywhere([&] { return assign_ports(offers, options.nic_map); });
  const auto rank = static_cast<std::size_t>(world.rank());
  std::vector<std::size_t> sharing;
  for (std::size_t other = 0; other < names.size(); ++other) {
    if (offers[other].node == offers[rank].node &&
        device_of(names[other]) == device_of(names[rank])) {
      sharing.push_back(other);
    }
  }
  ChosenPort chosen{.port = *std::find_if(ports.begin(), ports.end(), [&](const Port& port) {
                      return port.name() == names[rank];
                    })};
  chosen.num_sharing = static_cast<int>(sharing.size());
  if (sharing.size() > 1) {
    chosen.warning = fmt::format("ranks {} share the adapter {}: each gets a part of its speed",
                                 fmt::join(sharing, ", "), chosen.port.device);
  }
  return chosen;
}

}  // namespace llep
