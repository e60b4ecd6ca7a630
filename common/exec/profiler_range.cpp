// SPDX-License-Identifier: MIT
#include "common/exec/profiler_range.hpp"

#if LLEP_HAS_CUDA
#include <nvtx3/nvToolsExt.h>
#endif

namespace llep {

#if LLEP_HAS_CUDA
ProfilerRange::ProfilerRange(const char* name) { nvtxRangePushA(name); }
ProfilerRange::~ProfilerRange() { nvtxRangePop(); }
#else
ProfilerRange::ProfilerRange(const char* /*name*/) {}
ProfilerRange::~ProfilerRange() = default;
#endif

}  // namespace llep
