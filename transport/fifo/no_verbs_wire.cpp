// SPDX-License-Identifier: MIT
// In place of verbs_wire.cpp where there is no libibverbs.
#include "transport/fifo/verbs_wire.hpp"

namespace llep {

namespace {

constexpr const char* kWhy =
    "verbs: this build has no libibverbs: install libibverbs-dev (rdma-core) and configure with "
    "-DLLEP_VERBS=on";

}  // namespace

std::optional<std::string> why_no_verbs() { return kWhy; }

MakeProxyWires make_verbs_wires(const VerbsOptions& /*options*/, const VerbsRank& /*rank*/) {
  return [](Communicator& /*world*/, const FarHeap& /*heap*/, const ChannelMap& /*map*/) {
    return same_everywhere([]() -> ProxyWires { throw Error(ExitCode::kUnavailable, kWhy); });
  };
}

}  // namespace llep
