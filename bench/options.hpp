// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/gates.hpp"
#include "bench/inject.hpp"
#include "bench/routing_pattern.hpp"
#include "common/axes.hpp"
#include "kernels/payload.hpp"
#include "transport/verbs/options.hpp"

namespace llep {

/// The reference test's seed.
inline constexpr std::uint64_t kDefaultSeed = 0xB3C4;

/// What is asked for; each has its own keys.
enum class Subcommand { kRun, kFloors };
enum class DeviceChoice { kAuto, kCuda, kHost };
enum class Binding { kAuto, kNone };
enum class FifoWireChoice { kAuto, kVerbs, kMpi };

/// Which timed iterations are verified.
struct CheckPolicy {
  enum class Kind { kOff, kOnce, kEvery, kAll };
  Kind kind = Kind::kEvery;
  int every = 10;  // of kEvery: iterations 0, every, 2 * every, ... and the last

  bool checks(int iteration, int num_iterations) const;
  friend bool operator==(const CheckPolicy&, const CheckPolicy&) = default;
};

/// How many selections of each rank become -1; at most one member is not zero.
struct MaskSpec {
  int selections = 0;  // per rank, clipped to the selections it has
  double share = 0.0;  // of each rank's selections

  /// Of a rank that has this many selections.
  std::int64_t count(std::int64_t num_selections) const;
  friend bool operator==(const MaskSpec&, const MaskSpec&) = default;
};

/// Tokens per rank: all have num_tokens, or a list of them in rank order, or random ones.
struct UnevenTokens {
  std::vector<int> per_rank = {};
  bool random = false;

  bool even() const { return per_rank.empty() && !random; }
  friend bool operator==(const UnevenTokens&, const UnevenTokens&) = default;
};

/// Everything the subcommands that measure can be told. Lists are axes of the sweep.
struct RunOptions {
  Subcommand command = Subcommand::kRun;

  std::vector<int> num_tokens = {128};  // per rank
  std::vector<int> hidden = {7168};     // elements of a row
  std::vector<int> num_topk = {8};
  std::vector<int> num_experts = {256};  // of all ranks; empty when experts_per_rank says it
  std::vector<int> experts_per_rank;
  std::vector<DispatchDtype> dispatch_dtypes = {DispatchDtype::kBf16};
  std::vector<DispatchCopies> dispatch_copies = {DispatchCopies::kRank};
  std::vector<Phases> phases = {Phases::kFused};
  std::vector<std::string> transports = {"auto"};
  std::vector<Op> ops = {Op::kDispatch, Op::kCombine};
  std::vector<Mode> modes = {Mode::kPaired};

  DeviceChoice device = DeviceChoice::kAuto;
  bool share_gpus = false;
  Binding bind = Binding::kAuto;
  int host_blocks = 2;  // of the host executor's grid
  int host_warps = 4;   // per block

  int iters = 20;
  int warmup = 5;
  int trials = 1;  // of every case, each set up anew
  int chain = 10;  // ops of one iteration where they are timed back to back
  double timeout_ms = 10'000;  // of every wait
  bool flush_l2 = false;       // before every timed op or pair
  bool device_clock = true;    // kernels note when they begin and end
  double overlap_us = 0;       // of compute between the halves of a split op; 0: none
  std::vector<LatencyGate> max_latency_us = {};
  std::vector<BandwidthGate> min_bw = {};

  FifoWireChoice fifo_wire = FifoWireChoice::kAuto;
  std::vector<SignalMode> signals = {SignalMode::kWrite};
  int fifo_depth = 4096;       // descriptors of each ring
  int proxy_threads = 1;       // per rank
  int send_depth = 512;        // work requests or entries of a queue pair's send queue
  int ring_every = 8;          // entries that wait for a doorbell at most; 0: signals ring
  int qps_per_peer = 1;        // channels to each far peer; 0: one for each expert of a rank
  int ranks_per_node = 0;      // 0: the real nodes
  std::vector<std::string> nic_map;
  int gid_index = -1;          // -1: automatic
  int service_level = 0;
  int traffic_class = 0;
  int ack_timeout = 16;        // 4.096 us * 2^16 = 268 ms
  MrMode mr_mode = MrMode::kAuto;
  bool relaxed_ordering = false;

  /// Bytes of the messages of floors, multiples of 16; 8 is a signal alone.
  std::vector<int> sizes = {8,       16,      64,      256,     1 << 10, 1 << 12,
                            1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24};

  bool pairs = false;  // of floors: between any two ranks

  bool zero_copy = false;      // the expert writes straight into combine's send window

  std::vector<RoutingPattern> routings = {RoutingPattern{}};
  bool fresh_routing = false;  // another one in every iteration
  std::uint64_t seed = kDefaultSeed;
  MaskSpec mask;
  UnevenTokens uneven_tokens;
  Payload payload = Payload::kHash;
  CheckPolicy check;
  std::optional<Injection> inject;

  std::string floors_path;  // of llep floors, that times are compared with; empty: none

  std::string json_path;  // empty: default_result_path()
  std::string samples_path;  // every rank's samples as CSV; empty: none
  bool anonymous = false;
  bool verbose = false;
  bool dry_run = false;

  /// Whether the run itself measures the floors that its times are compared with.
  bool measures_floors() const { return floors_path == "measure"; }

  friend bool operator==(const RunOptions&, const RunOptions&) = default;
};

const char* to_string(DeviceChoice device);
const char* to_string(Binding binding);
const char* to_string(FifoWireChoice wire);
const char* to_string(Payload payload);
std::string to_string(const CheckPolicy& check);  // "every:10"
std::string to_string(const MaskSpec& mask);      // "10", "0.1"

/// All effective options of the subcommand by their long names; read back by --config it gives the
/// same options.
nlohmann::ordered_json to_json(const RunOptions& options);

/// Equal exactly where all effective options are: what ranks compare before they start.
std::string fingerprint(const RunOptions& options);

}  // namespace llep
