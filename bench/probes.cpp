// SPDX-License-Identifier: MIT
#include "bench/probes.hpp"

#include <algorithm>
#include <string>

namespace llep {

namespace {

constexpr std::uint64_t kSignalBytes = sizeof(std::uint64_t);

/// Makes the probes of one transport on one rank.
class WireProbes {
 public:
  WireProbes(const RankContext& context, const ProbeLayout& layout, ProbeProgress& progress)
      : context_(context), layout_(layout), progress_(progress) {}

  std::vector<Probe> take() { return std::move(probes_); }

  void ping_pong(ProbeKind kind, int peer, std::uint64_t bytes) {
    Probe probe{.floor = floor(kind, bytes)};
    probe.floor.from = 0;
    probe.floor.to = peer;
    probe.floor.trips = 2;
    probe.message_bytes = bytes;
    if (takes_part(peer)) probe.sources = {other(peer)};
    add(std::move(probe), {.partner = other(peer), .sends = rank() == 0, .message_bytes = bytes},
        &Launcher::ping_pong, takes_part(peer));
  }

  /// To one peer, or from all to all (-1).
  void stream(int peer, std::uint64_t bytes) {
    const bool all = peer < 0;
    const int at_once = layout_.most_at_once(bytes);
    const int num_peers = all ? layout_.num_ranks - 1 : 1;
    Probe probe{.floor = floor(ProbeKind::kPutStream, bytes)};
    if (!all) {
      probe.floor.from = 0;
      probe.floor.to = peer;
    }
    probe.floor.round_units = static_cast<double>(at_once) * num_peers;
    probe.message_bytes = static_cast<std::uint64_t>(at_once) * bytes;
    for (int source = 0; source < layout_.num_ranks; ++source) {
      const bool sends_here = all ? source != rank() : source == 0 && rank() == peer;
      if (sends_here) probe.sources.push_back(source);
    }
    add(std::move(probe),
        {.partner = all ? -1 : other(peer),
         .sends = all || rank() == 0,
         .receives = all || rank() == peer,
         .message_bytes = bytes,
         .num_at_once = at_once},
        &Launcher::stream, all || takes_part(peer));
  }

 private:
  using Kernel = void (Launcher::*)(const AnyWire&, const ProbeArgs&);

  int rank() const { return context_.world.rank(); }
  bool takes_part(int peer) const { return rank() == 0 || rank() == peer; }
  int other(int peer) const { return rank() == 0 ? peer : 0; }

  Floor floor(ProbeKind kind, std::uint64_t bytes) const {
    return {.transport = std::string(context_.transport.name()),
            .probe = kind,
            .num_ranks = layout_.num_ranks,
            .bytes = std::max(bytes, kSignalBytes)};
  }

  void add(Probe probe, ProbeArgs args, Kernel kernel, bool takes_part) {
    args.layout = layout_;
    args.rank = rank();
    probe.launch = [wire = context_.transport.wire(), &launcher = context_.launcher,
                    &epoch = progress_.epoch, args, kernel, takes_part](int num_rounds) {
      ProbeArgs now = args;
      now.num_rounds = num_rounds;
      now.epoch = epoch;
      epoch += static_cast<std::uint64_t>(num_rounds);
      if (takes_part) (launcher.*kernel)(wire, now);
    };
    probes_.push_back(std::move(probe));
  }

  const RankContext& context_;
  const ProbeLayout& layout_;
  ProbeProgress& progress_;
  std::vector<Probe> probes_;
};

/// The first rank of each way there is from rank 0.
std::vector<int> partners(const RankContext& context) {
  std::vector<int> found;
  const std::string name(context.transport.name());
  for (const bool near : {true, false}) {
    for (int peer = 1; peer < context.world.size(); ++peer) {
      if (context.nodes.near(name, 0, peer) != near) continue;
      found.push_back(peer);
      break;
    }
  }
  return found;
}

struct RingLoad {
  ProbeKind kind = ProbeKind::kFifoRate;
  RingUse use;
};

std::vector<RingLoad> ring_loads(int depth, int num_proxies, int num_warps) {
  std::vector<RingLoad> loads = {{ProbeKind::kFifoRoundTrip, {.depth = depth}}};
  std::vector<int> batches;
  for (const int batch : {32, 128}) {
    if (batch <= depth) batches.push_back(batch);
  }
  if (batches.empty()) batches.push_back(depth);
  const auto add = [&](int proxies, int warps) {
    for (const int batch : batches) {
      loads.push_back({.use = {depth, proxies, warps, batch}});
    }
  };
  add(1, 1);
  add(1, num_warps);
  const int rings = std::min(num_proxies, num_warps);
  if (rings > 1) add(rings, num_warps);
  return loads;
}

Probe ring_probe(const RankContext& context, const FifoWire& fifo, const RingLoad& load,
                 ProbeProgress& progress) {
  const RingUse& use = load.use;
  Probe probe{.floor = {.transport = std::string(context.transport.name()),
                        .probe = load.kind,
                        .num_ranks = context.world.size(),
                        .from = 0,
                        .ring = use,
                        .round_units = static_cast<double>(use.num_warps) * use.batch}};
  if (context.world.rank() != 0) return probe;
  RingProbe work{.num_rings = use.num_proxies,
                 .num_warps = use.num_warps,
                 .batch = use.batch,
                 .answered = load.kind == ProbeKind::kFifoRoundTrip};
  std::copy_n(fifo.rings, use.num_proxies, work.rings);
  probe.launch = [&launcher = context.launcher, &heads = progress.heads, work](int num_rounds) {
    RingProbe now = work;
    now.num_rounds = num_rounds;
    for (int r = 0; r < now.num_rings; ++r) {
      now.heads[r] = heads[r];
      heads[r] += now.num_pushed(r);
    }
    launcher.push(now);
  };
  return probe;
}

}  // namespace

std::vector<Probe> wire_probes(const RankContext& context, const ProbeLayout& layout,
                               const RunOptions& options, ProbeProgress& progress) {
  WireProbes probes(context, layout, progress);
  for (int peer = 1; peer < layout.num_ranks; ++peer) probes.ping_pong(ProbeKind::kFlag, peer, 0);
  const std::vector<int> peers = partners(context);
  for (const int peer : peers) {
    for (const int size : options.sizes) {
      probes.ping_pong(ProbeKind::kPutLatency, peer, put_bytes(size));
    }
  }
  for (const int peer : peers) {
    for (const int size : options.sizes) probes.stream(peer, put_bytes(size));
  }
  if (layout.num_ranks > 1) {
    for (const int size : options.sizes) probes.stream(-1, put_bytes(size));
  }
  return probes.take();
}

std::vector<Probe> ring_probes(const RankContext& context, ProbeProgress& progress) {
  const AnyWire wire = context.transport.wire();
  const auto* hybrid = std::get_if<HybridWire<FifoWire>>(&wire);
  if (hybrid == nullptr) return {};
  const FifoWire& fifo = hybrid->far;
  collectively(context.world, [&] {
    for (int r = 0; r < fifo.map.num_proxies; ++r) {
      context.device.copy(&progress.heads[r], fifo.rings[r].head, sizeof progress.heads[r]);
    }
  });
  std::vector<Probe> probes;
  const auto depth = static_cast<int>(fifo.rings[0].depth());
  for (const RingLoad& load :
       ring_loads(depth, fifo.map.num_proxies, context.launcher.num_warps())) {
    probes.push_back(ring_probe(context, fifo, load, progress));
  }
  return probes;
}

}  // namespace llep
