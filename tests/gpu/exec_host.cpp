// SPDX-License-Identifier: MIT
#include "tests/gpu/exec_probes.hpp"

namespace llep {

namespace {

template <class Probe>
void launch(HostDevice& device, const GridShape& grid, const Probe& probe) {
  device.launch(grid, [&](host::Warp& warp, host::RowPipe& pipe) { probe(warp, pipe); });
}

}  // namespace

void launch_on_host(HostDevice& device, const GridShape& grid, const PrimitiveProbe& probe) {
  launch(device, grid, probe);
}
void launch_on_host(HostDevice& device, const GridShape& grid, const RowProbe& probe) {
  launch(device, grid, probe);
}
void launch_on_host(HostDevice& device, const GridShape& grid, const CodecProbe& probe) {
  launch(device, grid, probe);
}
void launch_on_host(HostDevice& device, const GridShape& grid, const CompareRows& probe) {
  launch(device, grid, probe);
}

}  // namespace llep
