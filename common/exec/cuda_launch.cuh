// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime.h>

#include "common/exec/cuda_device.hpp"
#include "common/exec/cuda_executor.cuh"

namespace llep::cuda {

inline constexpr int kWarpsPerBlock = 8;

/// Shared memory of a block: [warps] stages, [warps] barriers, then `shared_bytes`.
template <class Body>
__global__ void __launch_bounds__(kWarpsPerBlock * 32, 1)
    warp_kernel(const __grid_constant__ Body body, const __grid_constant__ FaultSink faults,
                const __grid_constant__ GridShape grid) {
  extern __shared__ __align__(128) std::byte memory[];
  std::byte* after_stages = memory + kWarpsPerBlock * grid.stage_bytes;
  auto* barriers = reinterpret_cast<std::uint64_t*>(after_stages);
  Warp warp(after_stages + kWarpsPerBlock * sizeof(std::uint64_t), faults);
  RowPipe pipe(memory + static_cast<std::uint32_t>(warp.index()) * grid.stage_bytes,
               grid.stage_bytes, barriers + warp.index());
  pipe.init(warp);
  body(warp, pipe);
}

/// Asynchronous, on the device's stream. The grid is the device's share of what can be resident.
template <class Body>
void launch(CudaDevice& device, const GridShape& wanted, const Body& body) {
  GridShape grid = wanted;
  grid.num_blocks = device.num_blocks();
  grid.warps_per_block = kWarpsPerBlock;
  const std::size_t shared = kWarpsPerBlock * (grid.stage_bytes + sizeof(std::uint64_t)) +
                             grid.shared_bytes;
  static thread_local std::size_t allowed = 0;
  if (shared > allowed) {
    check(cudaFuncSetAttribute(warp_kernel<Body>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared)),
          "raising a kernel's shared memory");
    allowed = shared;
  }
  warp_kernel<Body><<<static_cast<unsigned>(grid.num_blocks), kWarpsPerBlock * 32, shared,
                      device.stream()>>>(body, device.faults(), grid);
  check(cudaGetLastError(), "launching a kernel");
}

}  // namespace llep::cuda
