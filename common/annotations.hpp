// SPDX-License-Identifier: MIT
#pragma once

/// Marks code that runs inside kernels: device code under nvcc, ordinary code under g++.
/// Functions that both sides need (layouts, codecs) are constexpr instead.
#ifdef __CUDACC__
#define LLEP_DEVICE __device__ __forceinline__
#else
#define LLEP_DEVICE inline
#endif
