// SPDX-License-Identifier: MIT
#include "common/exec/cuda_pages.hpp"

#include <cuda_runtime_api.h>

#include <string>

#include "common/error.hpp"
#include "common/exec/cuda_device.hpp"

namespace llep::cuda {

namespace {

void add_page(std::byte* page, std::size_t bytes) {
  const cudaError_t status =
      cudaHostRegister(page, bytes, cudaHostRegisterMapped | cudaHostRegisterPortable);
  if (status == cudaSuccess) return;
  cudaGetLastError();
  throw Error(ExitCode::kUnavailable, std::string("mapping an adapter's queue for kernels: ") +
                                          cudaGetErrorString(status) +
                                          "; raise the limit of locked memory (ulimit -l "
                                          "unlimited)");
}

void add_register_page(std::byte* page, std::size_t bytes) {
  const cudaError_t as_io =
      cudaHostRegister(page, bytes, cudaHostRegisterMapped | cudaHostRegisterIoMemory);
  if (as_io == cudaSuccess) return;
  cudaGetLastError();
  const cudaError_t as_memory =
      cudaHostRegister(page, bytes, cudaHostRegisterMapped | cudaHostRegisterPortable);
  if (as_memory == cudaSuccess) return;
  cudaGetLastError();
  throw Error(ExitCode::kUnavailable,
              std::string("mapping an adapter's doorbell register for kernels: as I/O memory: ") +
                  cudaGetErrorString(as_io) +
                  "; as ordinary memory: " + cudaGetErrorString(as_memory) +
                  "; the driver must permit it: options nvidia "
                  "NVreg_RegistryDwords=\"PeerMappingOverride=1;\" in /etc/modprobe.d, then reload "
                  "the module");
}

void remove_page(std::byte* page, std::size_t /*bytes*/) {
  if (cudaHostUnregister(page) != cudaSuccess) cudaGetLastError();
}

}  // namespace

HostPages host_pages() { return HostPages(system_page_bytes(), add_page, remove_page); }

HostPages register_pages() {
  return HostPages(system_page_bytes(), add_register_page, remove_page);
}

/// Pages are registered one by one: with unified addressing kernels see all of them where the host
/// does, so that neighbours stay neighbours.
Memory map_pages(HostPages& pages, void* address, std::size_t bytes) {
  auto* first = static_cast<std::byte*>(address);
  pages.acquire(first, bytes);
  Memory memory(first, [&pages, bytes](std::byte* at) { pages.release(at, bytes); });
  void* seen = nullptr;
  check(cudaHostGetDevicePointer(&seen, address, 0), "asking where kernels see host memory");
  if (seen == address) return memory;
  throw Error(
      ExitCode::kUnavailable,
      "mapping an adapter's queue for kernels: this GPU sees host memory at other addresses "
      "than the host; use --transport hybrid-fifo");
}

}  // namespace llep::cuda
