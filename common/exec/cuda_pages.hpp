// SPDX-License-Identifier: MIT
#pragma once

#include "common/exec/device.hpp"
#include "common/exec/host_pages.hpp"

namespace llep::cuda {

/// Pages of ordinary host memory, and of an adapter's registers, that kernels may use.
HostPages host_pages();
HostPages register_pages();

/// Host memory that lies on such pages, as kernels see it. Throws Error(kUnavailable).
Memory map_pages(HostPages& pages, void* address, std::size_t bytes);

}  // namespace llep::cuda
