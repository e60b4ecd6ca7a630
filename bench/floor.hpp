// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/axes.hpp"

namespace llep {

/// What `llep floors` measures.
enum class ProbeKind {
  kFlag,           // ping-pong of a signal
  kPutLatency,     // ping-pong of a message and its signal
  kPutStream,      // messages and their signals one behind the other
  kExchange,       // messages and their signals between all ranks, round after round
  kFifoRoundTrip,  // a descriptor pushed, read by the proxy, seen complete by the kernel
  kFifoRate,       // descriptors as fast as they go
  kIbgdaDoorbell,  // an entry from nothing to its doorbell, no adapter
  kIbgdaRate,      // entries as fast as kernels write, publish and ring them, no adapter
  kEmptyLaunch,    // a kernel that does nothing, one behind the other
  kLocalCopy,      // from a device's memory to its own
};

constexpr const char* to_string(ProbeKind probe) {
  switch (probe) {
    case ProbeKind::kFlag: return "flag";
    case ProbeKind::kPutLatency: return "put_latency";
    case ProbeKind::kPutStream: return "put_stream";
    case ProbeKind::kExchange: return "exchange";
    case ProbeKind::kFifoRoundTrip: return "fifo_round_trip";
    case ProbeKind::kFifoRate: return "fifo_rate";
    case ProbeKind::kIbgdaDoorbell: return "ibgda_doorbell";
    case ProbeKind::kIbgdaRate: return "ibgda_rate";
    case ProbeKind::kEmptyLaunch: return "empty_launch";
    case ProbeKind::kLocalCopy: break;
  }
  return "local_copy";
}

/// Of probes of rings or send queues: how they were used.
struct RingUse {
  int depth = 0;
  int num_proxies = 1;  // that descriptors went to; or send queues
  int num_warps = 1;    // that pushed or posted
  int batch = 1;        // descriptors or entries of one reservation
};

/// What one probe measured: plain data, complete on every rank.
struct Floor {
  std::string transport = {};
  std::string skipped = {};  // why there is nothing, of the whole transport
  SignalMode signal = SignalMode::kWrite;
  ProbeKind probe = ProbeKind::kFlag;
  int num_ranks = 1;
  std::optional<int> from = {};             // the rank; nothing: every rank
  std::optional<int> to = {};               // nothing: every other rank, or nobody
  std::optional<std::uint64_t> bytes = {};  // of a message; 8: the signal alone; of a copy: both ways
  std::optional<RingUse> ring = {};
  std::optional<int> num_warps = {};  // of an exchange: that share a message

  int num_rounds = 0;                 // of each sample
  int trips = 1;                      // of one round, one behind the other: 2 in a ping-pong
  double round_units = 1.0;           // messages or descriptors that one rank sends in a round
  std::vector<double> round_us = {};  // samples: of one round, by the slowest rank
  std::optional<bool> passed = {};    // the last messages' bytes; nothing: there are none
};

/// The stable name: probe/transport/R4/0-1/4096, probe/local/R4/all,
/// exchange/transport/R4/all/16384/w4, or probe/transport/R4/depth512/p1/w1/b32; the transport
/// followed by "-atomic" where signals are atomics.
std::string floor_name(const Floor& floor);

/// Best and median of the samples; nothing where the probe does not measure it.
struct Best {
  double best = 0;
  double p50 = 0;
};
std::optional<Best> trip_us(const Floor& floor);
std::optional<Best> per_second(const Floor& floor);  // messages or descriptors of one rank
std::optional<Best> gbps(const Floor& floor);        // 1e9 bytes per second, out of one rank

}  // namespace llep
