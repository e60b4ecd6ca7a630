// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "transport/verbs/handles.hpp"
#include "transport/verbs/options.hpp"

namespace llep {

/// Memory that the adapter shall read and that peers' adapters shall write.
struct VerbsMemory {
  std::byte* base = nullptr;
  std::uint64_t bytes = 0;
  bool on_device = false;
  std::function<int()> export_dmabuf = {};  // see VerbsRank
};

struct RegisteredMemory {
  UniqueMr mr;
  std::uint64_t address = 0;  // as work requests name its first byte
  std::string how;            // "host memory", "dma-buf", "peer memory"
};

/// Where the results of atomics go, which nobody reads.
struct AtomicResults {
  std::unique_ptr<std::uint64_t> word = std::make_unique<std::uint64_t>(0);
  UniqueMr mr = {};
};
AtomicResults make_atomic_results(ibv_pd* pd);

/// Registers it, device memory as options.mr_mode says, without relaxed ordering unless asked for.
/// Throws Error(kUnavailable) with every way tried and why it failed.
RegisteredMemory register_memory(ibv_pd* pd, const VerbsMemory& memory,
                                 const VerbsOptions& options);

}  // namespace llep
