// SPDX-License-Identifier: MIT
#include "transport/ibgda/ibgda_transport.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "transport/ibgda/mapped_queues.hpp"
#include "transport/verbs/completion.hpp"

namespace llep {

namespace {

class IbgdaTransport final : public Transport {
 public:
  explicit IbgdaTransport(const IbgdaOptions& options) : options_(options) {}

  std::string_view name() const override { return options_.name; }
  void connect(Communicator& world, SymmetricHeap& heap) override;
  void disconnect(Communicator& world) override;
  AnyWire wire() const override;
  void zero_arrivals(std::uint64_t bytes) override;
  std::shared_ptr<void> send_from(std::byte* base, std::uint64_t bytes) override;
  std::optional<std::string> failure() const override;
  std::string state() const override;
  TransportReport report() const override;
  void stall_proxies() override { queues_->deafen(); }
  void break_link() override;

 private:
  int num_ranks() const { return static_cast<int>(options_.near.size()); }
  bool on_gpu() const { return device_->executor() == ExecutorKind::kCuda; }
  MeshPlan plan(int self) const;
  RegisteredMemory register_rows(std::byte* base, std::uint64_t bytes) const;
  void open_queues();
  void write_books();

  IbgdaOptions options_;
  Device* device_ = nullptr;
  SymmetricHeap* heap_ = nullptr;
  std::string writes_ordered_for_;
  IpcWire near_;
  std::shared_ptr<VerbsMesh> mesh_;
  AtomicResults results_;
  std::unique_ptr<MappedQueues> queues_;
  IbgdaBooks books_;
  Memory books_memory_;
  Memory written_;
};

/// A completion queue for each queue pair: none of them can overflow.
MeshPlan IbgdaTransport::plan(int self) const {
  std::vector<int> first_cq;  // of each peer
  int num_cqs = 0;
  for (int peer = 0; peer < num_ranks(); ++peer) {
    first_cq.push_back(num_cqs);
    const bool far = peer != self && !options_.near[static_cast<std::size_t>(peer)];
    num_cqs += far ? options_.channels_per_peer : 0;
  }
  return {.num_ranks = num_ranks(),
          .channels_per_peer = options_.channels_per_peer,
          .num_cqs = num_cqs,
          .cq_of = [first_cq](
                       int peer,
                       int channel) { return first_cq[static_cast<std::size_t>(peer)] + channel; },
          .least_completions_per_qp = options_.verbs.send_depth,
          .own_registers = true};
}

void IbgdaTransport::connect(Communicator& world, SymmetricHeap& heap) {
  device_ = &heap.device();
  heap_ = &heap;
  same_everywhere([&] { near_ = make_ipc_wire(world, heap, options_.near); });
  collectively(world, [&] {
    if (const auto why = why_no_ibgda()) throw Error(ExitCode::kUnavailable, *why);
    writes_ordered_for_ = device_->check_adapter_writes();
  });
  const VerbsRank rank{
      .gpu_pci_bus_id = device_->pci_bus_id(),
      .export_dmabuf = [this] { return device_->export_dmabuf(heap_->base(), heap_->bytes()); },
      .near = options_.near};
  const VerbsMemory memory{.base = heap.base(),
                           .bytes = heap.bytes(),
                           .on_device = on_gpu(),
                           .export_dmabuf = rank.export_dmabuf};
  mesh_ = connect_mesh(world, options_.verbs, rank, memory, plan(world.rank()));
  collectively(world, [&] { open_queues(); });
}

void IbgdaTransport::open_queues() {
  if (!mlx5dv_is_supported(mesh_->device.context.get()->device)) {
    throw Error(ExitCode::kUnavailable,
                fmt::format("ibgda: {} is no mlx5 adapter; name one with --nic-map, or use "
                            "--transport hybrid-fifo",
                            mesh_->device.name));
  }
  queues_ = std::make_unique<MappedQueues>(*device_, *mesh_, options_.verbs.send_depth);
  if (options_.verbs.atomic_signals()) {
    results_ = make_atomic_results(mesh_->device.pd.get());
  }
  books_.sources[0] = {
      .base = mesh_->heap.address, .bytes = heap_->bytes(), .lkey = mesh_->heap.mr.get()->lkey};
  books_memory_ = device_->allocate(sizeof books_);
  write_books();
}

void IbgdaTransport::write_books() {
  const bool inputs = std::any_of(books_.sources + 1, books_.sources + kMaxSources,
                                  [](const SourceRegion& region) { return region.bytes > 0; });
  books_.has_inputs = options_.from_inputs || inputs ? 1 : 0;
  device_->copy(books_memory_.get(), &books_, sizeof books_);
}

void IbgdaTransport::disconnect(Communicator& world) {
  queues_.reset();
  results_ = {};
  mesh_.reset();
  world.barrier();
}

AnyWire IbgdaTransport::wire() const {
  HybridWire<IbgdaWire> wire{.near = near_, .far = {}, .has_far = has_far(options_.near)};
  wire.far = {.queues = queues_->table(),
              .books = reinterpret_cast<const IbgdaBooks*>(books_memory_.get()),
              .heap = heap_->base(),
              .results = {.address = reinterpret_cast<std::uint64_t>(results_.word.get()),
                          .bytes = sizeof(std::uint64_t)},
              .num_ranks = num_ranks(),
              .channels_per_peer = options_.channels_per_peer,
              .policy = options_.policy};
  if (results_.mr) wire.far.results.lkey = results_.mr.get()->lkey;
  return wire;
}

void IbgdaTransport::zero_arrivals(std::uint64_t bytes) {
  if (!options_.verbs.atomic_signals()) return;
  books_.written_words = bytes / sizeof(std::uint64_t);
  written_ = device_->allocate(static_cast<std::size_t>(num_ranks()) * bytes);
  books_.written = reinterpret_cast<std::uint64_t*>(written_.get());
  write_books();
}

RegisteredMemory IbgdaTransport::register_rows(std::byte* base, std::uint64_t bytes) const {
  constexpr std::uint64_t kPage = 64 * 1024;  // adapters are given whole pages of a GPU's
  const std::uint64_t whole = on_gpu() ? round_up(bytes, kPage) : bytes;
  return register_memory(
      mesh_->device.pd.get(),
      {.base = base,
       .bytes = whole,
       .on_device = on_gpu(),
       .export_dmabuf = [=, this] { return device_->export_dmabuf(base, whole); }},
      options_.verbs);
}

std::shared_ptr<void> IbgdaTransport::send_from(std::byte* base, std::uint64_t bytes) {
  auto* const end = books_.sources + kMaxSources;
  SourceRegion* const free = std::find_if(
      books_.sources + 1, end, [](const SourceRegion& region) { return region.bytes == 0; });
  if (bytes == 0 || free == end) return nullptr;
  auto rows = std::make_unique<RegisteredMemory>(register_rows(base, bytes));
  *free = {.base = rows->address, .bytes = bytes, .lkey = rows->mr.get()->lkey};
  write_books();
  return std::shared_ptr<RegisteredMemory>(rows.release(), [this, free](RegisteredMemory* gone) {
    const std::unique_ptr<RegisteredMemory> owned(gone);
    *free = {};
    try {
      write_books();
    } catch (const Error&) {  // a device that has failed starts no more kernels
    }
  });
}

std::optional<std::string> IbgdaTransport::failure() const {
  const auto error = queues_->error();
  if (!error) return std::nullopt;
  return fmt::format("ibgda: writing to rank {} over {} (queue pair {:#x}, channel {}): {}",
                     error->peer, mesh_->device.description(), error->qpn, error->channel,
                     describe_failure(error->completion));
}

std::string IbgdaTransport::state() const {
  std::string text;
  for (int peer = 0; peer < num_ranks(); ++peer) {
    for (int channel = 0; channel < options_.channels_per_peer; ++channel) {
      const QueueState state = queues_->state(peer, channel);
      if (state.reserved == 0 || state.completed == state.reserved) continue;
      text += fmt::format(
          "{}queue to rank {} channel {}: {} of {} entries are rung, {} were seen complete",
          text.empty() ? "" : "; ", peer, channel, state.rung, state.reserved, state.completed);
    }
  }
  return text;
}

TransportReport IbgdaTransport::report() const {
  const VerbsOptions& verbs = options_.verbs;
  TransportReport report{
      .description =
          fmt::format("{}, heap registered as {}{}, signals by {}, depth {}, doorbells {}",
                      mesh_->device.description(), mesh_->heap.how,
                      verbs.relaxed_ordering ? " with relaxed ordering" : "",
                      verbs.atomic_signals() ? "atomic" : "write", verbs.send_depth,
                      options_.policy.is_tail() ? "by signals"
                                                : fmt::format("every {}", options_.policy.every))};
  if (!writes_ordered_for_.empty()) {
    report.description += ", writes to GPU memory ordered for " + writes_ordered_for_;
  }
  if (const int sharing = queues_->num_sharing(); sharing > 0) {
    report.description += fmt::format(", {} of {} queue pairs share doorbell registers", sharing,
                                      queues_->num_queues());
  }
  if (!mesh_->warning.empty()) report.description += "; warning: " + mesh_->warning;
  report.adapter = mesh_->device.adapter();
  if (const auto stand_in = mesh_->device.stand_in()) report.stand_ins.push_back(*stand_in);
  if (has_far(options_.near)) report.far = "ibgda";
  for (int peer = 0; peer < num_ranks(); ++peer) {
    const bool near = options_.near[static_cast<std::size_t>(peer)];
    report.paths.push_back(peer == near_.rank             ? "self"
                           : queues_->has_completed(peer) ? report.far
                           : near                         ? "ipc"
                                                          : "none");
  }
  return report;
}

void IbgdaTransport::break_link() {
  for (const UniqueQp& qp : mesh_->qps) {
    if (qp) end_qp(qp.get());
  }
}

}  // namespace

std::optional<std::string> why_no_ibgda() {
  try {
    const std::vector<Port> ports = usable_ports();
    if (std::any_of(ports.begin(), ports.end(), [](const Port& port) { return port.is_mlx5; })) {
      return std::nullopt;
    }
    return fmt::format("ibgda: {} is no mlx5 adapter, nor is another usable port's",
                       ports.front().device);
  } catch (const Error& error) {
    return error.what();
  }
}

std::unique_ptr<Transport> make_ibgda_transport(const IbgdaOptions& options) {
  return std::make_unique<IbgdaTransport>(options);
}

}  // namespace llep
