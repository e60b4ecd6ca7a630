// SPDX-License-Identifier: MIT
#include "common/exec/host_device.hpp"
#include "kernels/launcher_body.hpp"
#include "kernels/launcher_cuda.hpp"

namespace llep {

namespace {

struct HostExecutor {
  HostDevice* device;

  template <class Body>
  void launch(const GridShape& grid, const Body& body) {
    device->launch(grid, [&](host::Warp& warp, host::RowPipe& pipe) { body(warp, pipe); });
  }
  /// A fraction of a GPU's, so that rows are cut here as well.
  std::uint32_t most_stage_bytes(std::uint32_t /*shared*/) const { return 18 * 1024; }
  int num_blocks() const { return device->options().num_blocks; }
  int num_warps() const { return num_blocks() * device->options().warps_per_block; }
  bool all_resident() const { return device->options().concurrent_blocks == num_blocks(); }
};

}  // namespace

std::unique_ptr<Launcher> make_launcher(Device& device) {
  if (device.executor() == ExecutorKind::kCuda) return make_cuda_launcher(device);
  return std::make_unique<LauncherOn<HostExecutor>>(
      HostExecutor{&dynamic_cast<HostDevice&>(device)});
}

#if !LLEP_HAS_CUDA
std::unique_ptr<Launcher> make_cuda_launcher(Device& /*device*/) {
  throw Error(ExitCode::kUnavailable,
              "starting GPU kernels: this build has none; configure with -DLLEP_CUDA=on");
}
#endif

}  // namespace llep
