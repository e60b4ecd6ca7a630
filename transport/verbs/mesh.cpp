// SPDX-License-Identifier: MIT
#include "transport/verbs/mesh.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace llep {

namespace {

/// Enough for one work request that fills a send queue.
constexpr int kLeastCompletions = 8;

std::vector<bool> far_peers(const VerbsRank& rank, int self, int num_ranks) {
  std::vector<bool> far = rank.near;
  far.resize(static_cast<std::size_t>(num_ranks), false);
  far.flip();
  far[static_cast<std::size_t>(self)] = false;
  return far;
}

/// The work of a mesh, in the order of the members' phases.
class MeshMaker {
 public:
  MeshMaker(VerbsMesh& mesh, const VerbsOptions& options, const MeshPlan& plan)
      : mesh_(mesh), options_(options), plan_(plan) {}

  void open(const ChosenPort& chosen, const VerbsMemory& heap);
  Endpoint make_queues();
  /// Queue pair numbers, as in VerbsMesh::qps.
  std::vector<std::uint32_t> qpns() const;
  void connect(int self, const std::vector<std::uint32_t>& qpns_of_all);

 private:
  template <class F>
  void for_each_far_channel(F f) const {
    for (int peer = 0; peer < plan_.num_ranks; ++peer) {
      if (!mesh_.far[static_cast<std::size_t>(peer)]) continue;
      for (int channel = 0; channel < plan_.channels_per_peer; ++channel) f(peer, channel);
    }
  }
  std::size_t index(int peer, int channel) const {
    return static_cast<std::size_t>(peer * plan_.channels_per_peer + channel);
  }
  ibv_pd* domain(int peer, int channel);
  /// The most queue pairs that one completion queue serves.
  int most_qps_of_a_cq() const;
  void check_link_layer(int self, int peer) const;

  VerbsMesh& mesh_;
  const VerbsOptions& options_;
  const MeshPlan& plan_;
};

int MeshMaker::most_qps_of_a_cq() const {
  std::vector<int> num_qps(static_cast<std::size_t>(plan_.num_cqs), 0);
  for_each_far_channel([&](int peer, int channel) {
    ++num_qps[static_cast<std::size_t>(plan_.cq_of(peer, channel))];
  });
  return num_qps.empty() ? 0 : *std::max_element(num_qps.begin(), num_qps.end());
}

void MeshMaker::open(const ChosenPort& chosen, const VerbsMemory& heap) {
  mesh_.device = open_port(chosen.port, options_.gid_index);
  mesh_.channels_per_peer = plan_.channels_per_peer;
  mesh_.most_message_bytes = std::min(mesh_.device.port.max_msg_sz, 1U << 30);
  mesh_.warning = chosen.warning;
  const auto num_far = static_cast<int>(std::count(mesh_.far.begin(), mesh_.far.end(), true));
  const int most_qps = most_qps_of_a_cq();
  check_limits(mesh_.device.name, mesh_.device.limits,
               {.num_qps = num_far * plan_.channels_per_peer * chosen.num_sharing,
                .num_cqs = plan_.num_cqs * chosen.num_sharing,
                .send_depth = options_.send_depth,
                .cq_entries =
                    std::max(kLeastCompletions, most_qps * plan_.least_completions_per_qp),
                .bytes = heap.bytes,
                .atomics = options_.atomic_signals()});
  mesh_.cq_entries =
      std::clamp(most_qps * options_.send_depth, kLeastCompletions, mesh_.device.limits.max_cqe);
  mesh_.heap = register_memory(mesh_.device.pd.get(), heap, options_);
}

/// What a queue pair is made in. A device may run out of registers, or a library know no domains.
ibv_pd* MeshMaker::domain(int peer, int channel) {
  ibv_pd* plain = mesh_.device.pd.get();
  if (!plan_.own_registers) return plain;
  RegisterDomain& own = mesh_.domains[index(peer, channel)];
  ibv_td_init_attr thread = {};
  own.thread = UniqueTd(ibv_alloc_td(mesh_.device.context.get(), &thread));
  if (!own.thread) return plain;
  ibv_parent_domain_init_attr parent = {};
  parent.pd = plain;
  parent.td = own.thread.get();
  own.pd = UniquePd(ibv_alloc_parent_domain(mesh_.device.context.get(), &parent));
  return own.pd ? own.pd.get() : plain;
}

Endpoint MeshMaker::make_queues() {
  ibv_context* context = mesh_.device.context.get();
  for (int i = 0; i < plan_.num_cqs; ++i) {
    mesh_.cqs.emplace_back(ibv_create_cq(context, mesh_.cq_entries, nullptr, nullptr, 0));
    if (!mesh_.cqs.back()) {
      fail_verbs(fmt::format("making a completion queue of {} entries", mesh_.cq_entries), errno);
    }
  }
  mesh_.qps.resize(index(plan_.num_ranks, 0));
  if (plan_.own_registers) mesh_.domains.resize(mesh_.qps.size());
  for_each_far_channel([&](int peer, int channel) {
    const auto cq = static_cast<std::size_t>(plan_.cq_of(peer, channel));
    mesh_.qps[index(peer, channel)] =
        create_qp(mesh_.device, domain(peer, channel), mesh_.cqs[cq].get(), options_);
  });
  return endpoint_of(mesh_.device, mesh_.heap);
}

std::vector<std::uint32_t> MeshMaker::qpns() const {
  std::vector<std::uint32_t> numbers;
  for (const UniqueQp& qp : mesh_.qps) numbers.push_back(qp ? qp.get()->qp_num : 0);
  return numbers;
}

void MeshMaker::check_link_layer(int self, int peer) const {
  const auto layer = [&](int rank) {
    return mesh_.ranks[static_cast<std::size_t>(rank)].link_layer;
  };
  if (layer(self) == layer(peer)) return;
  throw Error(
      ExitCode::kUnavailable,
      fmt::format("verbs: {} is {}, the port of rank {} is not; name ports of one kind "
                  "with --nic-map",
                  mesh_.device.name, mesh_.device.ethernet() ? "Ethernet" : "InfiniBand", peer));
}

void MeshMaker::connect(int self, const std::vector<std::uint32_t>& qpns_of_all) {
  for_each_far_channel([&](int peer, int channel) {
    check_link_layer(self, peer);
    const std::size_t theirs = index(peer * plan_.num_ranks, 0) + index(self, channel);
    connect_qp(mesh_.qp(peer, channel), mesh_.device, options_,
               {.mine = mesh_.ranks[static_cast<std::size_t>(self)],
                .peer = mesh_.ranks[static_cast<std::size_t>(peer)],
                .peer_qpn = qpns_of_all[theirs]});
  });
}

}  // namespace

void check_limits(const std::string& device, const ibv_device_attr& limits,
                  const MeshNeeds& needs) {
  const auto check = [&](const char* what, std::uint64_t needed, std::uint64_t most,
                         const char* remedy) {
    if (needed <= most) return;
    throw Error(ExitCode::kUnavailable, fmt::format("verbs: {}: {} {} are needed, the device has "
                                                    "at most {}; {}",
                                                    device, needed, what, most, remedy));
  };
  const auto number = [](int value) { return static_cast<std::uint64_t>(std::max(value, 0)); };
  check("queue pairs (max_qp)", number(needs.num_qps), number(limits.max_qp),
        "fewer --qps-per-peer, or fewer ranks on this device");
  check("work requests per queue pair (max_qp_wr)", number(needs.send_depth),
        number(limits.max_qp_wr), "a smaller --send-depth");
  check("completion queues (max_cq)", number(needs.num_cqs), number(limits.max_cq),
        "fewer --qps-per-peer, or fewer ranks on this device");
  check("entries per completion queue (max_cqe)", number(needs.cq_entries), number(limits.max_cqe),
        "more --proxy-threads, fewer --qps-per-peer, or a smaller --send-depth");
  check("bytes in one memory region (max_mr_size)", needs.bytes, limits.max_mr_size,
        "smaller shapes");
  if (needs.atomics && limits.atomic_cap == IBV_ATOMIC_NONE) {
    throw Error(ExitCode::kUnavailable,
                fmt::format("verbs: {}: signals shall be atomics, the device has none (atomic_cap "
                            "0); --signal write, without --relaxed-ordering on",
                            device));
  }
}

std::shared_ptr<VerbsMesh> connect_mesh(Communicator& world, const VerbsOptions& options,
                                        const VerbsRank& rank, const VerbsMemory& heap,
                                        const MeshPlan& plan) {
  const ChosenPort chosen = choose_port(world, options, rank);
  auto mesh = std::make_shared<VerbsMesh>();
  mesh->far = far_peers(rank, world.rank(), plan.num_ranks);
  MeshMaker maker(*mesh, options, plan);
  Endpoint mine;
  collectively(world, [&] {
    maker.open(chosen, heap);
    mine = maker.make_queues();
  });
  mesh->ranks = gather_all(world, mine);
  const auto qpns = gather_all(world, std::span<const std::uint32_t>(maker.qpns()));
  collectively(world, [&] { maker.connect(world.rank(), qpns); });
  return mesh;
}

}  // namespace llep
