// SPDX-License-Identifier: MIT
#include "transport/fifo/verbs_wire.hpp"

#include <fmt/format.h>

#include "transport/fifo/verbs_queues.hpp"

namespace llep {

namespace {

std::string describe(const VerbsMesh& mesh, const VerbsOptions& options) {
  return fmt::format("verbs: {}, heap registered as {}{}, signals by {}", mesh.device.description(),
                     mesh.heap.how, options.relaxed_ordering ? " with relaxed ordering" : "",
                     options.atomic_signals() ? "atomic" : "write");
}

ProxyWires make_wires(Communicator& world, const FarHeap& heap, const ChannelMap& map,
                      const VerbsOptions& options, const VerbsRank& rank) {
  const VerbsMemory memory{.base = heap.base,
                           .bytes = heap.bytes,
                           .on_device = heap.device_memory,
                           .export_dmabuf = rank.export_dmabuf};
  const auto mesh =
      connect_mesh(world, options, rank, memory,
                   {.num_ranks = map.num_ranks,
                    .channels_per_peer = map.channels_per_peer,
                    .num_cqs = map.num_proxies,
                    .cq_of = [&](int peer, int channel) { return map.proxy_of(peer, channel); }});
  ProxyWires made{.description = describe(*mesh, options), .stand_ins = {}};
  made.adapter = mesh->device.adapter();
  made.warning = mesh->warning;
  made.pci_bus_id = mesh->device.place.bus_id();
  if (const auto stand_in = mesh->device.stand_in()) made.stand_ins.push_back(*stand_in);
  collectively(world, [&] {
    for (int proxy = 0; proxy < map.num_proxies; ++proxy) {
      made.wires.push_back(std::make_unique<VerbsQueues>(mesh, options, map, proxy));
    }
  });
  return made;
}

}  // namespace

std::optional<std::string> why_no_verbs() {
  try {
    usable_ports();
    return std::nullopt;
  } catch (const Error& error) {
    return error.what();
  }
}

MakeProxyWires make_verbs_wires(const VerbsOptions& options, const VerbsRank& rank) {
  return [options, rank](Communicator& world, const FarHeap& heap, const ChannelMap& map) {
    return make_wires(world, heap, map, options, rank);
  };
}

}  // namespace llep
