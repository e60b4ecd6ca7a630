// SPDX-License-Identifier: MIT
#include "kernels/launcher_cuda.hpp"

#include "common/exec/cuda_launch.cuh"
#include "kernels/launcher_body.hpp"

namespace llep {

namespace {

struct CudaExecutor {
  CudaDevice* device;

  template <class Body>
  void launch(const GridShape& grid, const Body& body) {
    cuda::launch(*device, grid, body);
  }
  std::uint32_t most_stage_bytes(std::uint32_t shared) const {
    return (device->shared_bytes_per_block() - shared) / cuda::kWarpsPerBlock -
           static_cast<std::uint32_t>(sizeof(std::uint64_t));
  }
  int num_blocks() const { return device->num_blocks(); }
  int num_warps() const { return num_blocks() * cuda::kWarpsPerBlock; }
  /// One block per multiprocessor at most, and nothing else runs on the device's stream.
  bool all_resident() const { return true; }
};

}  // namespace

std::unique_ptr<Launcher> make_cuda_launcher(Device& device) {
  return std::make_unique<LauncherOn<CudaExecutor>>(
      CudaExecutor{&dynamic_cast<CudaDevice&>(device)});
}

}  // namespace llep
