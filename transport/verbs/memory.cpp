// SPDX-License-Identifier: MIT
#include "transport/verbs/memory.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "common/error.hpp"

namespace llep {

namespace {

/// Kernels that post to adapters themselves have device memory alone to send from.
constexpr const char* kThroughHost =
    "--transport fifo or hybrid-fifo with --mr-mode host goes through host memory";

int access_of(const VerbsOptions& options) {
  unsigned access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
  if (options.atomic_signals()) access |= IBV_ACCESS_REMOTE_ATOMIC;
  if (options.relaxed_ordering) access |= IBV_ACCESS_RELAXED_ORDERING;
  return static_cast<int>(access);
}

std::uint64_t address_of(const VerbsMemory& memory) {
  return reinterpret_cast<std::uint64_t>(memory.base);
}

RegisteredMemory registered(UniqueMr mr, const VerbsMemory& memory, const char* how) {
  return {.mr = std::move(mr), .address = address_of(memory), .how = how};
}

/// Null, and why, if the adapter refuses.
UniqueMr register_plain(ibv_pd* pd, const VerbsMemory& memory, int access, std::string& why) {
  UniqueMr mr(ibv_reg_mr(pd, memory.base, memory.bytes, access));
  if (!mr) why = fmt::format("ibv_reg_mr: {}", std::strerror(errno));
  return mr;
}

UniqueMr register_dmabuf(ibv_pd* pd, const VerbsMemory& memory, int access, std::string& why) {
  if (!memory.export_dmabuf) {
    why = "the memory cannot be exported as dma-buf";
    return {};
  }
  try {
    const UniqueDescriptor file(memory.export_dmabuf());
    UniqueMr mr(ibv_reg_dmabuf_mr(pd, 0, memory.bytes, address_of(memory), file.get(), access));
    if (!mr) why = fmt::format("ibv_reg_dmabuf_mr: {}", std::strerror(errno));
    return mr;
  } catch (const Error& error) {
    why = error.what();
    return {};
  }
}

[[noreturn]] void refuse(const VerbsMemory& memory, const std::string& what) {
  throw Error(ExitCode::kUnavailable,
              fmt::format("verbs: registering {} bytes of memory: {}", memory.bytes, what));
}

RegisteredMemory register_host(ibv_pd* pd, const VerbsMemory& memory, int access) {
  std::string why;
  UniqueMr mr = register_plain(pd, memory, access, why);
  if (!mr) refuse(memory, why + "; raise the limit of locked memory (ulimit -l unlimited)");
  return registered(std::move(mr), memory, "host memory");
}

}  // namespace

AtomicResults make_atomic_results(ibv_pd* pd) {
  AtomicResults results;
  results.mr = UniqueMr(
      ibv_reg_mr(pd, results.word.get(), sizeof(std::uint64_t), IBV_ACCESS_LOCAL_WRITE));
  if (!results.mr) {
    throw Error(ExitCode::kUnavailable,
                fmt::format("verbs: registering the results of atomics: {}", std::strerror(errno)));
  }
  return results;
}

RegisteredMemory register_memory(ibv_pd* pd, const VerbsMemory& memory,
                                 const VerbsOptions& options) {
  const int access = access_of(options);
  if (!memory.on_device) return register_host(pd, memory, access);
  const MrMode mode = options.mr_mode;
  if (mode == MrMode::kHost) {
    refuse(memory, fmt::format("--mr-mode host, but it is device memory; {}", kThroughHost));
  }
  std::string no_dmabuf = "not tried";
  std::string no_peermem = "not tried";
  if (mode != MrMode::kPeermem) {
    UniqueMr mr = register_dmabuf(pd, memory, access, no_dmabuf);
    if (mr) return registered(std::move(mr), memory, "dma-buf");
  }
  if (mode != MrMode::kDmabuf) {
    UniqueMr mr = register_plain(pd, memory, access, no_peermem);
    if (mr) return registered(std::move(mr), memory, "peer memory");
  }
  refuse(memory,
         fmt::format("dma-buf: {}; peer memory: {} (--mr-mode {}). dma-buf needs Linux 5.12 "
                     "and the open GPU kernel modules, peer memory modprobe "
                     "nvidia-peermem; {}",
                     no_dmabuf, no_peermem, to_string(mode), kThroughHost));
}

}  // namespace llep
