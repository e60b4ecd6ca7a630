// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <vector>

#include "common/exec/host_executor.hpp"

namespace llep {

/// One host warp and its pipe without a device: enough for what a warp does alone.
class LoneWarp {
 public:
  explicit LoneWarp(bool reverse_lanes = false, std::uint32_t stage_bytes = 1024)
      : stage_(stage_bytes / sizeof(Vec16)),
        faults_{.record = &record_, .raised = &raised_},
        warp_({.index = 0, .grid = {}, .reverse_lanes = reverse_lanes}, host::Block{}, faults_),
        pipe_(reinterpret_cast<std::byte*>(stage_.data()), stage_bytes) {}
  LoneWarp(const LoneWarp&) = delete;
  LoneWarp& operator=(const LoneWarp&) = delete;

  host::Warp& warp() { return warp_; }
  host::RowPipe& pipe() { return pipe_; }

 private:
  std::vector<Vec16> stage_;
  FaultRecord record_;
  std::uint32_t raised_ = 0;
  FaultSink faults_;
  host::Warp warp_;
  host::RowPipe pipe_;
};

}  // namespace llep
