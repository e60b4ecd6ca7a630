// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "common/communicator.hpp"
#include "transport/verbs/options.hpp"
#include "transport/verbs/port.hpp"

namespace llep {

/// The port of one rank.
struct ChosenPort {
  Port port = {};
  int num_sharing = 1;       // ranks of the node on its device, this one included
  std::string warning = {};  // what is wrong with the choice; empty: nothing
};

/// Chooses each rank's port: as options.nic_map says, or matched to the GPUs of the node, ports
/// slower than half of the fastest left out. Collective; all ranks throw the same Error.
ChosenPort choose_port(Communicator& world, const VerbsOptions& options, const VerbsRank& mine);

/// What one rank of a node can choose from.
struct PortOffer {
  struct Choice {
    std::string name = {};
    int distance = 0;
  };
  std::string node = {};  // the same text on all ranks of a node, on no other
  std::vector<Choice> choices = {};
};

/// For each rank the name of its port, from what all offer. Throws Error(kUnavailable, kUsage).
std::vector<std::string> assign_ports(const std::vector<PortOffer>& offers,
                                      const std::vector<std::string>& nic_map);

}  // namespace llep
