// SPDX-License-Identifier: MIT
#include "bench/timed_ops.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>

#include "common/exec/profiler_range.hpp"

namespace llep {

namespace {

/// Twice the largest L2 cache of today's GPUs (126 MB, B200).
constexpr std::size_t kFlushedBytes = std::size_t{256} << 20;

}  // namespace

double take_entries_out(std::vector<OpTimes>& times) {
  const auto [first, last] = std::minmax_element(
      times.begin(), times.end(), [](auto& a, auto& b) { return a.entered_ns < b.entered_ns; });
  const std::int64_t latest = last->entered_ns;
  const double skew_us = static_cast<double>(latest - first->entered_ns) / 1e3;
  for (OpTimes& one : times) {
    const double early_us = static_cast<double>(latest - one.entered_ns) / 1e3;
    one.whole.host_observed = std::max(0.0, one.whole.host_observed - early_us);
    one.whole.device = std::max(0.0, one.whole.device - early_us);
    one.receive_us = std::max(0.0, one.receive_us - early_us);  // where halves wait
  }
  return skew_us;
}

bool checks(const RunOptions& options, int iteration) {
  if (iteration < 0) return false;
  if (options.check.kind == CheckPolicy::Kind::kOff) return false;
  // An injected fault is looked for where it was made.
  const auto& inject = options.inject;
  if (inject && (!inject->iteration || *inject->iteration == iteration)) return true;
  return options.check.checks(iteration, options.iters);
}

bool TimedOps::hits(Injection::Kind kind, int iteration, Op op) const {
  return options_.inject && options_.inject->kind == kind &&
         options_.inject->hits(context_.world.rank(), iteration, op);
}

void TimedOps::inject_before_launch(int iteration, Op op) {
  if (hits(Injection::Kind::kDelay, iteration, op)) compute(options_.inject->us);
  if (hits(Injection::Kind::kDrop, iteration, op)) {
    op == Op::kDispatch ? run_.drop_dispatched_signal() : run_.drop_expert_signal();
  }
  if (op == Op::kCombine && hits(Injection::Kind::kCorrupt, iteration, op)) {
    run_.corrupt_expert_row();
  }
  if (hits(Injection::Kind::kStall, iteration, op)) context_.transport.stall_proxies();
  if (hits(Injection::Kind::kBreak, iteration, op)) context_.transport.break_link();
  if (hits(Injection::Kind::kKill, iteration, op)) ::kill(::getpid(), SIGKILL);
  if (hits(Injection::Kind::kHang, iteration, op)) {
    for (;;) ::pause();  // until the other ranks' watchdogs end the run
  }
}

/// Work on the device. In the middle of an op ranks cannot agree that one has failed: it keeps the
/// error, leaves the rest out and communicates like the others until they can.
void TimedOps::attempt(const Work& work) {
  if (failure_) return;
  try {
    work();
  } catch (const Error& error) {
    failure_ = error;
  }
}

/// Of --flush-l2: until its memory has been written no row that was read before is in the cache.
/// Ranks that wrote it faster wait for the others.
void TimedOps::flush_l2() {
  if (!options_.flush_l2) return;
  attempt([&] {
    if (!flushed_) flushed_ = context_.device.allocate(kFlushedBytes);
    context_.device.fill(flushed_.get(), 0, kFlushedBytes);
    context_.device.synchronize();
  });
  context_.world.barrier();
}

/// One op; of a split one the receive half follows the send half, with a mark in between.
OpTimes TimedOps::timed(Op op, const Work& send, const Work& receive) {
  flush_l2();
  OpTimes times;
  times.timed = true;
  attempt([&] { between_marks(op, send, receive, times); });
  if (case_.mode == Mode::kFresh) {
    const ClockOffsets offsets = meeting_.offsets();
    times.entered_ns = -offsets.ns[static_cast<std::size_t>(context_.world.rank())];
    times.clock_error_us = offsets.error_us;
  }
  return times;
}

void TimedOps::between_marks(Op op, const Work& send, const Work& receive, OpTimes& times) {
  using Clock = std::chrono::steady_clock;
  Device& device = context_.device;
  run_.use_clock(num_clocks_++);
  const ProfilerRange range(to_string(op));
  const Clock::time_point start = Clock::now();
  if (case_.mode == Mode::kFresh) meeting_.start(run_.layout().meetings);
  device.mark(0);
  send();
  if (receive) {
    device.mark(1);
    receive();
  }
  device.mark(2);
  device.synchronize();
  const std::chrono::duration<double, std::micro> wall = Clock::now() - start;
  if (case_.mode == Mode::kFresh) meeting_.collect();
  times.whole.host_observed = device.elapsed_us(0, 2);
  times.whole.wall = wall.count();
  if (receive) times.receive_us = device.elapsed_us(1, 2);
}

/// What the device's clocks say of the iteration, in the order in which they were used.
void TimedOps::read_clocks(IterationTimes& times) const {
  if (!options_.device_clock) return;
  const int num_ops = is_chain(case_.mode) ? options_.chain : 1;
  int clock = 0;
  for (OpTimes* op : {&times.dispatch, &times.combine}) {
    if (!op->timed) continue;
    const BlockTimes read = run_.op_times(clock++);
    if (read.first_ns == 0 || read.last_ns < read.first_ns) {
      throw Error(ExitCode::kInternal, "the device clock of an op was not written");
    }
    op->whole.device = static_cast<double>(read.last_ns - read.first_ns) / 1e3 / num_ops;
    op->entered_ns += static_cast<std::int64_t>(read.first_ns);
  }
}

/// Keeps the device busy for so long.
void TimedOps::compute(double us) {
  context_.launcher.compute({.ns = static_cast<std::uint64_t>(us * 1e3)});
}

/// Host-observed time of a receive half behind its send half and, if any, compute in between.
double TimedOps::receive_behind(const std::function<void(Halves)>& op, double compute_us) {
  Device& device = context_.device;
  flush_l2();
  context_.world.barrier();
  run_.use_clock(-1);
  double us = 0;
  attempt([&] {
    op(Halves::kSend);
    if (compute_us > 0) compute(compute_us);
    device.mark(0);
    op(Halves::kReceive);
    device.mark(1);
    device.synchronize();
    us = device.elapsed_us(0, 1);
  });
  return us;
}

/// Of --overlap-us: the op once more without compute between its halves, and once with it.
void TimedOps::overlap(const std::function<void(Halves)>& op, OpTimes& times) {
  if (options_.overlap_us <= 0) return;
  times.overlap_receive_us = receive_behind(op, 0);
  times.overlap_exposed_us = receive_behind(op, options_.overlap_us);
}

void TimedOps::dispatch(int iteration) {
  inject_before_launch(iteration, Op::kDispatch);
  run_.dispatch(case_.phases == Phases::kFused ? Halves::kBoth : Halves::kSend);
}

void TimedOps::combine(int iteration) {
  inject_before_launch(iteration, Op::kCombine);
  run_.combine(case_.phases == Phases::kFused ? Halves::kBoth : Halves::kSend);
}

/// Both halves of an op.
void TimedOps::whole(Op op) {
  const auto halves = [&](auto start) {
    if (case_.phases == Phases::kFused) return start(Halves::kBoth);
    start(Halves::kSend);
    start(Halves::kReceive);
  };
  if (op != Op::kCombine) halves([&](Halves half) { run_.dispatch(half); });
  if (op != Op::kDispatch) halves([&](Halves half) { run_.combine(half); });
}

/// One of the ops of a chain.
OpTimes TimedOps::timed_chain(Op op, int iteration) {
  const auto chain = [&] {
    for (int i = 0; i < options_.chain; ++i) whole(op);
  };
  std::unique_ptr<RecordedWork>& graph = graphs_[op];
  attempt([&] {
    if (case_.mode == Mode::kGraph && !graph) {
      run_.use_clock(num_clocks_);  // the same one in every iteration
      graph = context_.device.record(chain);
    }
    if (op != Op::kCombine) inject_before_launch(iteration, Op::kDispatch);
    if (op != Op::kDispatch) inject_before_launch(iteration, Op::kCombine);
  });
  const auto start = [&] { graph ? graph->launch() : chain(); };
  OpTimes times = timed(op, start, {});
  times.whole.host_observed /= options_.chain;
  times.whole.wall /= options_.chain;
  return times;
}

/// Between dispatch and combine, where their rows are looked at.
void TimedOps::apply_expert(int iteration) {
  if (!checks(options_, iteration) && iteration != -options_.warmup) return;
  attempt([&] {
    run_.apply_expert();
    context_.device.synchronize();
  });
}

IterationTimes TimedOps::time_chains(int iteration, bool back_to_back) {
  IterationTimes times;
  times.dispatch = timed_chain(back_to_back ? Op::kPair : Op::kDispatch, iteration);
  if (back_to_back) return times;
  apply_expert(iteration);
  times.combine = timed_chain(Op::kCombine, iteration);
  return times;
}

IterationTimes TimedOps::time_once(int iteration, bool back_to_back) {
  const bool split = case_.phases == Phases::kSplit;
  const auto receive_dispatch = [&] { run_.dispatch(Halves::kReceive); };
  const auto receive_combine = [&] { run_.combine(Halves::kReceive); };
  if (back_to_back) {
    const auto all = [&] {
      dispatch(iteration);
      if (split) receive_dispatch();
      combine(iteration);
      if (split) receive_combine();
    };
    return {.dispatch = timed(Op::kPair, all, {})};
  }
  const Work none;
  const auto send_dispatch = [&] { dispatch(iteration); };
  const auto send_combine = [&] { combine(iteration); };
  IterationTimes times;
  times.dispatch = timed(Op::kDispatch, send_dispatch, split ? receive_dispatch : none);
  if (split) overlap([&](Halves half) { run_.dispatch(half); }, times.dispatch);
  apply_expert(iteration);
  times.combine = timed(Op::kCombine, send_combine, split ? receive_combine : none);
  if (split) overlap([&](Halves half) { run_.combine(half); }, times.combine);
  return times;
}

IterationTimes TimedOps::measure(int iteration, bool back_to_back) {
  num_clocks_ = 0;
  IterationTimes times = is_chain(case_.mode) ? time_chains(iteration, back_to_back)
                                              : time_once(iteration, back_to_back);
  attempt([&] { read_clocks(times); });
  return times;
}

}  // namespace llep
