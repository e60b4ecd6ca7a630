// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport/ibgda/posting.hpp"
#include "transport/transport.hpp"
#include "transport/verbs/options.hpp"

namespace llep {

struct IbgdaOptions {
  std::string name = "ibgda";  // or "hybrid-ibgda"
  VerbsOptions verbs;          // send_depth: a power of two, at least kLeastSendDepth
  std::vector<bool> near;      // [num_ranks] peers whose memory this rank maps
  int channels_per_peer = 1;
  RingPolicy policy;
  bool from_inputs = false;  // rows of the heap may be the user's: drain waits for them
};

/// Why this rank cannot use mlx5 adapters from kernels: no such adapter, no active port, a build
/// without libmlx5. Nothing: it can, as far as one rank alone can tell.
std::optional<std::string> why_no_ibgda();

/// Kernels write work queue entries of mlx5 adapters, for the peers that are not near: no thread of
/// the host takes part. See transport/ibgda/README.md.
std::unique_ptr<Transport> make_ibgda_transport(const IbgdaOptions& options);

}  // namespace llep
