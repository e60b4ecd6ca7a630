// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "kernels/arguments.hpp"
#include "kernels/meeting.hpp"
#include "kernels/probe.hpp"
#include "kernels/queue_probe.hpp"
#include "kernels/ring_probe.hpp"
#include "kernels/upkeep.hpp"
#include "transport/transport.hpp"

namespace llep {

/// Starts kernels on one rank's device, whichever executor it has. Work runs in launch order; on
/// the host executor a launch returns when the grid has ended.
class Launcher {
 public:
  virtual ~Launcher() = default;

  /// Of every grid, and whether all of them run at once.
  virtual int num_blocks() const = 0;
  virtual int num_warps() const = 0;  // all blocks'
  virtual bool all_resident() const = 0;
  /// The largest stage of a warp where blocks need no other shared memory.
  virtual std::uint32_t most_stage_bytes() const = 0;

  virtual void dispatch(Halves halves, const AnyWire& wire, const DispatchArgs& args) = 0;
  virtual void combine(Halves halves, const AnyWire& wire, const CombineArgs& args) = 0;

  virtual void meet(const AnyWire& wire, const MeetingArgs& args) = 0;

  virtual void ping_pong(const AnyWire& wire, const ProbeArgs& args) = 0;
  virtual void stream(const AnyWire& wire, const ProbeArgs& args) = 0;
  virtual void push(const RingProbe& work) = 0;
  virtual void post(const QueueProbe& work) = 0;

  virtual void fill(const FillRows& work) = 0;
  virtual void poison(const PoisonRows& work) = 0;
  virtual void expert(const ApplyExpert& work) = 0;
  virtual void compare(const CompareRows& work) = 0;
  virtual void compute(const Compute& work) = 0;
};

/// The launcher of the device's executor. Throws Error(kUnavailable) when this build has none.
std::unique_ptr<Launcher> make_launcher(Device& device);

}  // namespace llep
