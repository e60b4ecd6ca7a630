// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "bench/probe_loop.hpp"

/// The probes of `llep floors`, in the order they are measured.
namespace llep {

/// How far a connected transport's probes have come. All ranks count epochs alike, also those of
/// probes they take no part in.
struct ProbeProgress {
  std::uint64_t epoch = 0;
  std::uint64_t heads[kMaxProxies] = {};  // of this rank's rings
};

/// Flags between rank 0 and every other rank; messages of the options' sizes between rank 0 and one
/// other, and among all at once; exchanges. Where rows go different ways, between rank 0 and one
/// near and one far rank. With --pairs, flags and messages of one size between any two ranks as
/// well. None where there is one rank. What is passed by reference outlives them.
std::vector<Probe> wire_probes(const RankContext& context, const ProbeLayout& layout,
                               const RunOptions& options, ProbeProgress& progress);
/// Of those, what floors of results are made of.
std::vector<Probe> rate_probes(const RankContext& context, const ProbeLayout& layout,
                               const RunOptions& options, ProbeProgress& progress);

/// Of the sizes, in their order, the one that pairs are measured with: the largest up to 1 MiB.
int size_of_pairs(const std::vector<int>& sizes);

/// Of rank 0's rings, which nobody else uses until they are done; none where the transport has no
/// proxies. Collective.
std::vector<Probe> ring_probes(const RankContext& context, ProbeProgress& progress);

/// Bytes that the kernels put: nothing where the signal is all.
constexpr std::uint64_t put_bytes(int size) {
  return size < 16 ? 0 : static_cast<std::uint64_t>(size);
}

}  // namespace llep
