// SPDX-License-Identifier: MIT
#include "bench/probes.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace llep {

namespace {

constexpr std::uint64_t kSignalBytes = sizeof(std::uint64_t);

/// Who sends to whom; in a ping-pong, who begins.
struct Pair {
  int from = 0;
  int to = 0;

  bool has(int rank) const { return rank == from || rank == to; }
  int other(int rank) const { return rank == from ? to : from; }
};

/// Makes the probes of one transport on one rank, each once.
class WireProbes {
 public:
  WireProbes(const RankContext& context, const ProbeLayout& layout, ProbeProgress& progress)
      : context_(context), layout_(layout), progress_(progress) {}

  std::vector<Probe> take() { return std::move(probes_); }

  void ping_pong(ProbeKind kind, const Pair& pair, std::uint64_t bytes) {
    Probe probe{.floor = floor(kind, bytes, pair)};
    probe.floor.trips = 2;
    probe.message_bytes = bytes;
    if (pair.has(rank())) probe.sources = {pair.other(rank())};
    add(std::move(probe),
        {.layout = layout_,
         .partner = pair.other(rank()),
         .sends = rank() == pair.from,
         .message_bytes = bytes},
        &Launcher::ping_pong, pair.has(rank()));
  }

  void stream(const Pair& pair, std::uint64_t bytes) {
    Probe probe{.floor = floor(ProbeKind::kPutStream, bytes, pair)};
    if (rank() == pair.to) probe.sources = {pair.from};
    add_stream(std::move(probe), 1,
               {.partner = pair.other(rank()),
                .sends = rank() == pair.from,
                .receives = rank() == pair.to,
                .message_bytes = bytes},
               pair.has(rank()));
  }
  /// From all to all.
  void streams(std::uint64_t bytes) {
    Probe probe{.floor = floor(ProbeKind::kPutStream, bytes), .sources = others()};
    add_stream(std::move(probe), layout_.num_ranks - 1, {.message_bytes = bytes}, true);
  }

  /// Among all, by one warp of each rank or several: few cost least where each signal is a message
  /// of its own, many where peers' memory is near.
  void exchanges() {
    for (const int num_warps : {1, 4, 16}) {
      const ProbeLayout layout = layout_.shared_by(num_warps, kExchangeBytes);
      Probe probe{.floor = floor(ProbeKind::kExchange, kExchangeBytes),
                  .sources = others(),
                  .message_bytes = kExchangeBytes};
      probe.floor.num_warps = layout.num_sharing(kExchangeBytes);
      add(std::move(probe), {.layout = layout, .message_bytes = kExchangeBytes},
          &Launcher::ping_pong, true);
    }
  }

 private:
  using Kernel = void (Launcher::*)(const AnyWire&, const ProbeArgs&);

  int rank() const { return context_.world.rank(); }
  std::vector<int> others() const {
    std::vector<int> ranks;
    for (int r = 0; r < layout_.num_ranks; ++r) {
      if (r != rank()) ranks.push_back(r);
    }
    return ranks;
  }

  Floor floor(ProbeKind kind, std::uint64_t bytes, const std::optional<Pair>& pair = {}) const {
    Floor floor{.transport = std::string(context_.transport.name()),
                .probe = kind,
                .num_ranks = layout_.num_ranks,
                .bytes = std::max(bytes, kSignalBytes)};
    if (pair) {
      floor.from = pair->from;
      floor.to = pair->to;
    }
    return floor;
  }

  void add_stream(Probe probe, int num_peers, ProbeArgs args, bool takes_part) {
    args.layout = layout_;
    args.num_at_once = layout_.most_at_once(args.message_bytes);
    probe.floor.round_units = static_cast<double>(args.num_at_once) * num_peers;
    probe.message_bytes = static_cast<std::uint64_t>(args.num_at_once) * args.message_bytes;
    add(std::move(probe), args, &Launcher::stream, takes_part);
  }

  void add(Probe probe, ProbeArgs args, Kernel kernel, bool takes_part) {
    if (!names_.insert(floor_name(probe.floor)).second) return;
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
  std::set<std::string> names_;
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

void add_flags(WireProbes& probes, int num_ranks) {
  for (int peer = 1; peer < num_ranks; ++peer) {
    probes.ping_pong(ProbeKind::kFlag, {.from = 0, .to = peer}, 0);
  }
}

void add_all_to_all(WireProbes& probes, const std::vector<int>& sizes, int num_ranks) {
  if (num_ranks < 2) return;
  for (const int size : sizes) probes.streams(put_bytes(size));
  probes.exchanges();
}

/// A ping-pong is the same both ways.
void add_pairs(WireProbes& probes, std::uint64_t bytes, int num_ranks) {
  for (int from = 0; from < num_ranks; ++from) {
    for (int to = from + 1; to < num_ranks; ++to) {
      probes.ping_pong(ProbeKind::kFlag, {.from = from, .to = to}, 0);
    }
  }
  for (int from = 0; from < num_ranks; ++from) {
    for (int to = 0; to < num_ranks; ++to) {
      if (to != from) probes.stream({.from = from, .to = to}, bytes);
    }
  }
}

}  // namespace

int size_of_pairs(const std::vector<int>& sizes) {
  constexpr int kMost = 1 << 20;
  const auto above = std::upper_bound(sizes.begin(), sizes.end(), kMost);
  return above == sizes.begin() ? sizes.front() : *std::prev(above);
}

std::vector<Probe> wire_probes(const RankContext& context, const ProbeLayout& layout,
                               const RunOptions& options, ProbeProgress& progress) {
  WireProbes probes(context, layout, progress);
  add_flags(probes, layout.num_ranks);
  const std::vector<int> peers = partners(context);
  for (const int peer : peers) {
    for (const int size : options.sizes) {
      probes.ping_pong(ProbeKind::kPutLatency, {.from = 0, .to = peer}, put_bytes(size));
    }
  }
  for (const int peer : peers) {
    for (const int size : options.sizes) {
      probes.stream({.from = 0, .to = peer}, put_bytes(size));
    }
  }
  add_all_to_all(probes, options.sizes, layout.num_ranks);
  if (options.pairs) add_pairs(probes, put_bytes(size_of_pairs(options.sizes)), layout.num_ranks);
  return probes.take();
}

std::vector<Probe> rate_probes(const RankContext& context, const ProbeLayout& layout,
                               const RunOptions& options, ProbeProgress& progress) {
  WireProbes probes(context, layout, progress);
  add_flags(probes, layout.num_ranks);
  add_all_to_all(probes, options.sizes, layout.num_ranks);
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
