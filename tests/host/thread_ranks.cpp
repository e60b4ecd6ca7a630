// SPDX-License-Identifier: MIT
#include "tests/host/thread_ranks.hpp"

#include <fmt/format.h>

#include "tests/host/loop_wire.hpp"

namespace llep {

namespace {

FifoOptions fifo_options(const LoopFifo& fifo, const Communicator& world) {
  FifoOptions options{.wire = "loop",
                      .make_wires = loop_wires(),
                      .near = {},
                      .num_proxies = fifo.num_proxies,
                      .channels_per_peer = fifo.channels_per_peer,
                      .depth = fifo.depth,
                      .from_inputs = true,
                      .naps = true};
  for (int peer = 0; peer < world.size(); ++peer) {
    options.near.push_back(peer / fifo.ranks_per_node == world.rank() / fifo.ranks_per_node);
  }
  return options;
}

CaseSetup setup_of(const RanksSetup& setup, const EpLayout& layout, int rank) {
  return {.layout = layout,
          .routing = setup.routing ? setup.routing(rank)
                                   : make_routing(layout.shape, RoutingSpec{}, rank)};
}

/// Connected before the case that uses it is made.
std::unique_ptr<Transport> connected(const RanksSetup& setup, Communicator& world,
                                     SymmetricHeap& heap) {
  std::unique_ptr<Transport> transport;
  if (setup.fifo) {
    transport = std::make_unique<FifoTransport>(fifo_options(*setup.fifo, world));
  } else {
    transport = std::make_unique<IpcTransport>();
  }
  transport->connect(world, heap);
  return transport;
}

PlannedLayout plan_of(const RanksSetup& setup) {
  EpAxes axes = setup.axes;
  axes.outbox = setup.fifo.has_value();
  return plan_layout(axes);
}

}  // namespace

ThreadRank::ThreadRank(Communicator& world, const RanksSetup& setup)
    : world_(world),
      device_(world.rank(), setup.device),
      launcher_(make_launcher(device_)),
      plan_(plan_of(setup)),
      heap_(world, device_, plan_.fields.total_bytes(),
            std::vector<bool>(static_cast<std::size_t>(world.size()), true)),
      transport_(connected(setup, world, heap_)),
      run_(RankContext{.world = world,
                       .device = device_,
                       .launcher = *launcher_,
                       .transport = *transport_,
                       .heap = heap_,
                       .nodes = nodes_},
           setup_of(setup, plan_.layout, world.rank())) {
  device_.faults().timeout_ns = setup.timeout_ns;
}

void ThreadRank::refill(std::uint64_t epoch) {
  run_.fill(epoch);
  run_.poison();
}

void ThreadRank::dispatch(Phases phases) {
  if (phases == Phases::kFused) return run_.dispatch(Halves::kBoth);
  run_.dispatch(Halves::kSend);
  run_.dispatch(Halves::kReceive);
}

void ThreadRank::combine(Phases phases) {
  if (phases == Phases::kFused) return run_.combine(Halves::kBoth);
  run_.combine(Halves::kSend);
  run_.combine(Halves::kReceive);
}

void ThreadRank::expect(const std::optional<Mismatch>& wrong) {
  if (wrong) ADD_FAILURE() << to_string(*wrong);
  if (fault().phase != WaitPhase::kNone) {
    ADD_FAILURE() << "rank " << fault().rank << " waited for rank " << fault().peer << ": "
                  << to_string(fault().phase) << ", expert " << fault().expert << ", token "
                  << fault().token << ", expected " << fault().expected << ", seen "
                  << fault().seen;
  }
}

void ThreadRank::expect_dispatched(std::uint64_t epoch) { expect(run_.check_dispatch(epoch)); }
void ThreadRank::expect_combined(std::uint64_t epoch) { expect(run_.check_combine(epoch)); }

void ThreadRank::chain(const std::string& ops, Phases phases, std::uint64_t first_epoch) {
  std::uint64_t epoch = first_epoch;
  for (const char op : ops) {
    ++epoch;
    refill(epoch);
    if (op == 'd') {
      dispatch(phases);
      expect_dispatched(epoch);
    } else {
      combine(phases);
      expect_combined(epoch);
    }
  }
}

void with_ranks(const RanksSetup& setup, const std::function<void(ThreadRank&)>& body) {
  SCOPED_TRACE(text(setup));
  run_ranks(setup.axes.shape.num_ranks, [&](Communicator& world) {
    ThreadRank rank(world, setup);
    body(rank);
    world.barrier();
  });
}

std::string text(const RanksSetup& setup) {
  const MoeShape& s = setup.axes.shape;
  const HostDeviceOptions& device = setup.device;
  const std::string fifo =
      setup.fifo ? fmt::format(" fifo of {} proxies, {} channels, {} ranks a node",
                               setup.fifo->num_proxies, setup.fifo->channels_per_peer,
                               setup.fifo->ranks_per_node)
                 : "";
  return fmt::format("R{}/E{}/K{}/H{}/T{} {} {}{}{}, {} blocks of {} warps, {} at once, seed {}{}",
                     s.num_ranks, s.num_experts, s.num_topk, s.hidden, s.max_tokens,
                     to_string(setup.axes.dtype), to_string(setup.axes.copies),
                     setup.axes.zero_copy ? " zero-copy" : "", fifo, device.num_blocks,
                     device.warps_per_block, device.concurrent_blocks, device.shuffle_seed,
                     device.reverse_lanes ? ", lanes reversed" : "");
}

}  // namespace llep
