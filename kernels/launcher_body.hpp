// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <utility>

#include "kernels/combine.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/launcher.hpp"

namespace llep {

/// One kernel: plain data that a warp runs.
template <Halves kHalves, DispatchDtype kDtype, class W>
struct DispatchBody {
  W wire;
  DispatchArgs args;
  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& pipe) const {
    args.state.clock.enter(warp);
    dispatch::run<kHalves, kDtype>(warp, pipe, wire, args);
    args.state.clock.leave(warp, pipe);
  }
};

template <Halves kHalves, class W>
struct CombineBody {
  W wire;
  CombineArgs args;
  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& pipe) const {
    args.state.clock.enter(warp);
    combine::run<kHalves>(warp, pipe, wire, args);
    args.state.clock.leave(warp, pipe);
  }
};

/// What a launcher needs of its executor.
///   launch(grid, body)          starts a kernel
///   most_stage_bytes(shared)    the largest stage beside `shared` bytes per block
///   num_blocks(), num_warps(), all_resident()  of every grid
template <class Executor>
class LauncherOn final : public Launcher {
 public:
  explicit LauncherOn(Executor executor) : executor_(std::move(executor)) {}

  int num_blocks() const override { return executor_.num_blocks(); }
  int num_warps() const override { return executor_.num_warps(); }
  bool all_resident() const override { return executor_.all_resident(); }
  std::uint32_t most_stage_bytes() const override {
    return executor_.most_stage_bytes(0) / kStageStep * kStageStep;
  }

  void dispatch(Halves halves, const AnyWire& wire, const DispatchArgs& args) override {
    std::visit([&](const auto& w) { dispatch_over(halves, w, args); }, wire);
  }
  void combine(Halves halves, const AnyWire& wire, const CombineArgs& args) override {
    std::visit([&](const auto& w) { combine_over(halves, w, args); }, wire);
  }
  void meet(const AnyWire& wire, const MeetingArgs& args) override {
    std::visit([&](const auto& w) { executor_.launch(kNoStage, Meeting{w, args}); }, wire);
  }
  void ping_pong(const AnyWire& wire, const ProbeArgs& args) override {
    std::visit([&](const auto& w) { launch_probe(args, PingPong{w, args}); }, wire);
  }
  void stream(const AnyWire& wire, const ProbeArgs& args) override {
    std::visit([&](const auto& w) { launch_probe(args, Stream{w, args}); }, wire);
  }
  void push(const RingProbe& work) override { executor_.launch(kNoStage, work); }
  void post(const QueueProbe& work) override { executor_.launch(kNoStage, work); }
  void fill(const FillRows& work) override { executor_.launch(kNoStage, work); }
  void poison(const PoisonRows& work) override { executor_.launch(kNoStage, work); }
  void expert(const ApplyExpert& work) override { executor_.launch(kNoStage, work); }
  void compare(const CompareRows& work) override { executor_.launch(kNoStage, work); }
  void compute(const Compute& work) override { executor_.launch(kNoStage, work); }

 private:
  static constexpr std::uint32_t kStageStep = 128;
  static constexpr GridShape kNoStage = {.stage_bytes = kStageStep};

  /// Stages hold a whole row if they can.
  GridShape grid_for(std::uint32_t row_bytes, std::uint32_t shared_bytes) const {
    const std::uint32_t most =
        executor_.most_stage_bytes(shared_bytes) / kStageStep * kStageStep;
    const auto row = static_cast<std::uint32_t>(round_up(row_bytes, kStageStep));
    return {.stage_bytes = std::min(row, most), .shared_bytes = shared_bytes};
  }

  template <class W>
  void dispatch_over(Halves halves, const W& wire, const DispatchArgs& args) {
    if (args.layout.dtype == DispatchDtype::kBf16) {
      launch_dispatch<DispatchDtype::kBf16>(halves, wire, args);
    } else {
      launch_dispatch<DispatchDtype::kFp8>(halves, wire, args);
    }
  }
  template <DispatchDtype kDtype, class W>
  void launch_dispatch(Halves halves, const W& wire, const DispatchArgs& args) {
    const auto shared = static_cast<std::uint32_t>(sizeof(OpStart)) +
                        dispatch::Placement::bytes(args.layout.shape);
    const GridShape grid = grid_for(args.layout.window_stride(), shared);
    if (kDtype == DispatchDtype::kFp8 && grid.stage_bytes < args.layout.window_stride()) {
      throw Error(ExitCode::kUnavailable,
                  "fp8 dispatch: a row of " + std::to_string(args.layout.window_stride()) +
                      " bytes does not fit a warp's share of this GPU's shared memory, " +
                      std::to_string(grid.stage_bytes) + "; use a smaller hidden size");
    }
    switch (halves) {
      case Halves::kSend:
        return executor_.launch(grid, DispatchBody<Halves::kSend, kDtype, W>{wire, args});
      case Halves::kReceive:
        return executor_.launch(grid, DispatchBody<Halves::kReceive, kDtype, W>{wire, args});
      case Halves::kBoth:
        return executor_.launch(grid, DispatchBody<Halves::kBoth, kDtype, W>{wire, args});
    }
  }
  template <class W>
  void combine_over(Halves halves, const W& wire, CombineArgs args) {
    args.part_vecs = part_vecs(args.in.num_tokens, args.layout.shape.hidden);
    args.parts = Divisor(divide_up(args.layout.shape.hidden / kVecColumns, args.part_vecs));
    const GridShape grid = grid_for(args.layout.combine_row_bytes(), sizeof(OpStart));
    switch (halves) {
      case Halves::kSend:
        return executor_.launch(grid, CombineBody<Halves::kSend, W>{wire, args});
      case Halves::kReceive:
        return executor_.launch(grid, CombineBody<Halves::kReceive, W>{wire, args});
      case Halves::kBoth:
        return executor_.launch(grid, CombineBody<Halves::kBoth, W>{wire, args});
    }
  }

  template <class Probe>
  void launch_probe(const ProbeArgs& args, const Probe& probe) {
    executor_.launch(grid_for(args.layout.chunk_bytes, 0), probe);
  }

  /// Rows are reduced in parts, about one for each warp.
  int part_vecs(int num_tokens, int hidden) const {
    const auto lanes = static_cast<std::int64_t>(executor_.num_warps()) * kMaxLanes;
    const auto vecs = static_cast<std::int64_t>(num_tokens) * (hidden / kVecColumns);
    const auto per_lane = std::clamp<std::int64_t>((vecs + lanes - 1) / lanes, 1,
                                                   combine::kMostVecsPerLane);
    return static_cast<int>(per_lane) * kMaxLanes;
  }

  Executor executor_;
};

}  // namespace llep
