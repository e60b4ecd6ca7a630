// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/communicator.hpp"
#include "transport/verbs/queue_pair.hpp"
#include "transport/verbs/selection.hpp"

namespace llep {

/// What a mesh shall be.
struct MeshPlan {
  int num_ranks = 1;
  int channels_per_peer = 1;
  int num_cqs = 1;
  std::function<int(int peer, int channel)> cq_of = {};
  /// What a completion queue holds for each of its queue pairs; as many as the queue pair has work
  /// requests if the device can.
  int least_completions_per_qp = 1;
  /// Each queue pair shall have a doorbell register that no other one uses, if the device has
  /// enough.
  bool own_registers = false;
};

/// What gives a queue pair a register of its own (ibv_alloc_td(3)); empty: it shares one.
struct RegisterDomain {
  UniqueTd thread;
  UniquePd pd;
};

/// One rank's connected queue pairs, one for each channel of each peer that is not near.
struct VerbsMesh {
  VerbsDevice device;
  RegisteredMemory heap;
  std::vector<UniqueCq> cqs;    // [num_cqs]
  std::vector<RegisterDomain> domains;  // as qps, or none
  std::vector<UniqueQp> qps;    // [num_ranks * channels_per_peer], null where not far
  std::vector<Endpoint> ranks;  // [num_ranks]
  std::vector<bool> far;        // [num_ranks] peers that it reaches
  int channels_per_peer = 1;
  int cq_entries = 0;                    // of each
  std::uint32_t most_message_bytes = 0;  // of one work request
  std::string warning;                   // about the choice of the port; empty: none

  ibv_qp* qp(int peer, int channel) const {
    return qps[static_cast<std::size_t>(peer * channels_per_peer + channel)].get();
  }
};

/// Collective, in local phases followed by agreement: all ranks are connected, or all throw the
/// same Error, kUnavailable where the machine cannot do it.
std::shared_ptr<VerbsMesh> connect_mesh(Communicator& world, const VerbsOptions& options,
                                        const VerbsRank& rank, const VerbsMemory& heap,
                                        const MeshPlan& plan);

/// What a mesh takes of a device.
struct MeshNeeds {
  int num_qps = 0;  // of all ranks that share the device
  int num_cqs = 0;
  int send_depth = 0;
  int cq_entries = 0;  // at least, of one completion queue
  std::uint64_t bytes = 0;
  bool atomics = false;
};

/// Throws Error(kUnavailable) with the numbers when the device cannot give it.
void check_limits(const std::string& device, const ibv_device_attr& limits, const MeshNeeds& needs);

}  // namespace llep
