// SPDX-License-Identifier: MIT
#pragma once

#include "kernels/launcher.hpp"

namespace llep {

/// The launcher of a CudaDevice.
std::unique_ptr<Launcher> make_cuda_launcher(Device& device);

}  // namespace llep
