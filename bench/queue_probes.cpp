// SPDX-License-Identifier: MIT
#include "bench/queue_probes.hpp"

#include <bit>
#include <memory>
#include <variant>

namespace llep {

namespace {

/// Send queues where those of an adapter would lie: entries, records and registers in host memory.
struct PretendQueues {
  Memory entries;    // [num_queues][depth]
  Memory registers;  // [num_queues][8]: record, register, completion record
  Memory cqe;        // one that is never there
  Memory states;
  Memory marks;
  Memory table;

  PretendQueues(Device& device, std::size_t num_queues, std::uint32_t depth);
  const SendQueue* queues() const { return reinterpret_cast<const SendQueue*>(table.get()); }

 private:
  static constexpr std::size_t kWords = 8;  // of registers
};

PretendQueues::PretendQueues(Device& device, std::size_t num_queues, std::uint32_t depth)
    : entries(device.allocate_pinned(num_queues * depth * kWqeBytes)),
      registers(device.allocate_pinned(num_queues * kWords * sizeof(std::uint64_t))),
      cqe(device.allocate_pinned(kCqeBytes)),
      states(device.allocate(num_queues * sizeof(QueueState))),
      marks(device.allocate(num_queues * depth * sizeof(std::uint64_t))),
      table(device.allocate(num_queues * sizeof(SendQueue))) {
  const auto log2 = static_cast<std::uint32_t>(std::countr_zero(depth));
  device.fill(cqe.get(), 0xff, kCqeBytes);
  std::vector<SendQueue> all;
  for (std::size_t i = 0; i < num_queues; ++i) {
    auto* words = reinterpret_cast<std::uint64_t*>(registers.get()) + i * kWords;
    auto* state = reinterpret_cast<QueueState*>(states.get()) + i;
    all.push_back({.entries = reinterpret_cast<Vec16*>(entries.get() + i * depth * kWqeBytes),
                   .marks = reinterpret_cast<std::uint64_t*>(marks.get()) + i * depth,
                   .record = reinterpret_cast<std::uint32_t*>(words),
                   .doorbell = words + 1,
                   .cqes = cqe.get(),
                   .cq_record = reinterpret_cast<std::uint32_t*>(words + 2),
                   .state = state,
                   .lock = &state->ringing,
                   .next = queues() + i,
                   .depth_log2 = log2,
                   .ring_log2 = log2});
  }
  device.copy(table.get(), all.data(), num_queues * sizeof(SendQueue));
}

Probe queue_probe(const RankContext& context, ProbeKind kind, const RingUse& use,
                  const std::shared_ptr<PretendQueues>& queues) {
  Probe probe{.floor = {.transport = std::string(context.transport.name()),
                        .probe = kind,
                        .num_ranks = context.world.size(),
                        .from = 0,
                        .ring = use,
                        .round_units = static_cast<double>(use.num_warps) * use.batch}};
  if (!queues) return probe;
  probe.launch = [&launcher = context.launcher, use, queues](int num_rounds) {
    launcher.post(QueueProbe{.queues = queues->queues(),
                             .num_warps = use.num_warps,
                             .batch = use.batch,
                             .num_rounds = num_rounds});
  };
  return probe;
}

}  // namespace

std::vector<Probe> queue_probes(const RankContext& context, const RunOptions& options) {
  if (!std::holds_alternative<HybridWire<IbgdaWire>>(context.transport.wire())) return {};
  const int num_warps = context.launcher.num_warps();
  std::shared_ptr<PretendQueues> queues;
  collectively(context.world, [&] {
    if (context.world.rank() != 0) return;
    queues = std::make_shared<PretendQueues>(context.device, static_cast<std::size_t>(num_warps),
                                             static_cast<std::uint32_t>(options.send_depth));
  });
  const auto probe = [&](ProbeKind kind, int warps, int batch) {
    return queue_probe(context, kind, {options.send_depth, warps, warps, batch}, queues);
  };
  std::vector<Probe> probes = {probe(ProbeKind::kIbgdaDoorbell, 1, 1)};
  for (const int warps : {1, num_warps}) {
    for (const int batch : {1, 8, kMaxLanes}) {
      probes.push_back(probe(ProbeKind::kIbgdaRate, warps, batch));
    }
    if (num_warps == 1) break;
  }
  return probes;
}

}  // namespace llep
