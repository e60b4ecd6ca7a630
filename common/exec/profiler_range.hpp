// SPDX-License-Identifier: MIT
#pragma once

namespace llep {

/// While it lives, a range of that name in the timeline of a profiler that knows NVTX (Nsight
/// Systems). Without a profiler, or in a build without CUDA, nothing.
class ProfilerRange {
 public:
  explicit ProfilerRange(const char* name);
  ~ProfilerRange();
  ProfilerRange(const ProfilerRange&) = delete;
  ProfilerRange& operator=(const ProfilerRange&) = delete;
};

}  // namespace llep
