// SPDX-License-Identifier: MIT
#include "transport/fifo/fifo_transport.hpp"

#include <cstring>

namespace llep {

FarHeap FifoTransport::far_heap(SymmetricHeap& heap) {
  Device& device = heap.device();
  const bool on_gpu = device.executor() == ExecutorKind::kCuda;
  const FarMemory memory = on_gpu ? options_.memory : FarMemory{};
  if (memory.rows_in_host || memory.posted_in_host || memory.words_in_host) {
    mirror_ = device.allocate_pinned(heap.bytes());
  }
  const auto where = [&](bool in_host) { return in_host ? mirror_.get() : heap.base(); };
  return {.base = where(memory.rows_in_host),
          .posted = where(memory.posted_in_host),
          .words = where(memory.words_in_host),
          .bytes = heap.bytes(),
          .device = &device,
          .device_memory = on_gpu && !memory.rows_in_host};
}

std::string FifoTransport::describe(const ProxyWires& made) const {
  std::string text = made.description;
  if (far_.device_memory) text += ", GPU rows as they are";
  if (far_.base == mirror_.get()) text += ", GPU rows through pinned host memory";
  const std::string placement = proxies_.front()->placement();
  if (!placement.empty()) text += "; " + placement;
  if (!made.warning.empty()) text += "; warning: " + made.warning;
  return text;
}

void FifoTransport::connect(Communicator& world, SymmetricHeap& heap) {
  map_ = {.num_ranks = world.size(),
          .channels_per_peer = options_.channels_per_peer,
          .num_proxies = options_.num_proxies};
  same_everywhere([&] { near_ = make_ipc_wire(world, heap, options_.near); });
  collectively(world, [&] { far_ = far_heap(heap); });
  ProxyWires made = options_.make_wires(world, far_, map_);
  collectively(world, [&] {
    for (std::size_t p = 0; p < made.wires.size(); ++p) {
      proxies_.push_back(std::make_unique<Proxy>(heap.device(),
                                                 ProxyOptions{.index = static_cast<int>(p),
                                                              .num_ranks = world.size(),
                                                              .depth = options_.depth,
                                                              .naps = options_.naps,
                                                              .pci_bus_id = made.pci_bus_id},
                                                 std::move(made.wires[p])));
    }
    told_ = {
        .description = describe(made), .adapter = made.adapter, .stand_ins = made.stand_ins};
  });
}

void FifoTransport::disconnect(Communicator& world) {
  proxies_.clear();
  mirror_.reset();
  world.barrier();
}

AnyWire FifoTransport::wire() const {
  HybridWire<FifoWire> wire{.near = near_, .far = {}, .has_far = has_far(options_.near)};
  wire.far.map = map_;
  wire.far.heap = far_.base;
  wire.far.posted = far_.posted;
  wire.far.words = far_.words;
  wire.far.heap_bytes = far_.bytes;
  wire.far.from_inputs = options_.from_inputs;
  for (std::size_t p = 0; p < proxies_.size(); ++p) wire.far.rings[p] = proxies_[p]->ring();
  return wire;
}

void FifoTransport::zero_arrivals(std::uint64_t bytes) {
  if (mirror_) std::memset(mirror_.get(), 0, bytes);
  for (const auto& proxy : proxies_) proxy->signals_zeroed();
}

std::optional<std::string> FifoTransport::failure() const {
  for (const auto& proxy : proxies_) {
    if (auto failure = proxy->failure()) return failure;
  }
  return std::nullopt;
}

std::string FifoTransport::state() const {
  std::string text;
  for (const auto& proxy : proxies_) text += (text.empty() ? "" : "; ") + proxy->state();
  return text;
}

TransportReport FifoTransport::report() const {
  TransportReport report = told_;
  if (has_far(options_.near)) report.far = "fifo-" + options_.wire;
  for (int peer = 0; peer < map_.num_ranks; ++peer) {
    std::uint64_t carried = 0;
    for (const auto& proxy : proxies_) {
      const ProxyTraffic traffic = proxy->traffic(peer);
      carried += traffic.puts + traffic.signals;
    }
    const bool near = options_.near[static_cast<std::size_t>(peer)];
    report.paths.push_back(peer == near_.rank ? "self"
                           : carried > 0            ? report.far
                           : near                   ? "ipc"
                                                    : "none");
  }
  for (const auto& proxy : proxies_) report.proxy_cpu.push_back(proxy->cpu_share());
  return report;
}

void FifoTransport::stall_proxies() {
  for (const auto& proxy : proxies_) proxy->stall();
}

void FifoTransport::break_link() {
  if (options_.wire == "mpi") return Transport::break_link();
  for (const auto& proxy : proxies_) proxy->break_link();
}

}  // namespace llep
