// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

/// A stand-in for libcuda (its library has that name) with one device whose memory no CPU can
/// touch: what the twin does with GPU memory, tested without a GPU. Copies are asynchronous; those
/// of one batch come in any order.
namespace fake_cuda {

/// What cuMemAlloc would give: reading or writing it is a fault.
std::byte* allocate(std::size_t bytes);
/// The same memory, as a kernel sees it.
std::byte* seen_by_kernels(std::byte* memory);

}  // namespace fake_cuda
