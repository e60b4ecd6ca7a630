// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

namespace softmlx5 {

/// What the twin does on purpose to find what a polite one hides (README.md).
struct AdversaryOptions {
  bool delay = false;
  bool interleave = false;
  bool split = false;
  bool completions = false;
  bool stall = false;
  bool relaxed = false;
  std::uint32_t error_after = 0;    // entries of a queue pair; 0: never
  std::uint32_t drop_doorbell = 0;  // which one of a queue pair, from 1; 0: none
  std::uint64_t seed = 1;
};

struct Options {
  int num_devices = 1;
  bool ethernet = false;
  std::string folder;
  /// Of the progress thread when there is nothing to do. 0: it spins; kFitting: a time that leaves
  /// few cores to the programs.
  int sleep_us = 0;
  static constexpr int kFitting = -1;
  bool trace = false;
  /// How the last word of a message reaches GPU memory. kFitting: kCopy where processes share a
  /// GPU.
  enum class GpuFlag { kFitting, kWrite, kCopy } gpu_flag = GpuFlag::kFitting;
  AdversaryOptions adversary;
};

/// The environment's SOFTMLX5_*. An invalid value ends the process with one line and exit code 2.
const Options& options();

}  // namespace softmlx5
