// SPDX-License-Identifier: MIT
// Message passing through IpcWire and the row pipe, as dispatch and combine do it: a row behind its
// signal is the signal's row and no earlier one's. On one GPU, and between two in one process.
#include <algorithm>
#include <barrier>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "common/error.hpp"
#include "common/exec/cuda_device.hpp"
#include "common/exec/cuda_launch.cuh"
#include "transport/ipc/ipc_wire.hpp"

namespace llep {
namespace {

/// Who puts and who signals.
enum class Sender { kOneWarp, kTwoWarps };

/// Every even block sends rows to the odd block behind it on the peer, `num_rounds` of them, each
/// over the one before once the receiver has acknowledged that. All blocks of both GPUs at once.
struct Litmus {
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
  static constexpr std::uint32_t kWordStride = 64;  // words of different channels share no line

  IpcWire wire;
  int peer = 0;
  Sender sender = Sender::kOneWarp;
  bool bulk = true;  // how the receiver reads: bulk loads, or ordinary ones
  std::uint32_t row_bytes = 16;
  int num_rounds = 0;
  std::uint64_t* first_bad = nullptr;  // round << 32 | word; kNone

  /// Channels of a grid: one a warp, or one a block.
  static int num_channels(int num_blocks, Sender sender) {
    return num_blocks / 2 * (sender == Sender::kOneWarp ? cuda::kWarpsPerBlock : 1);
  }
  constexpr std::uint64_t row_of(int channel) const {
    return static_cast<std::uint64_t>(channel) * row_bytes;
  }
  static std::uint64_t heap_bytes(int num_channels, std::uint32_t row_bytes) {
    return static_cast<std::uint64_t>(num_channels) * (row_bytes + 2 * kWordStride);
  }

  template <class Warp, class Pipe>
  LLEP_DEVICE void operator()(Warp& warp, Pipe& pipe) const {
    const int pair = warp.block() / 2;
    if (pair >= warp.num_blocks() / 2) return;
    const bool sends = warp.block() % 2 == 0;
    if (sender == Sender::kTwoWarps) {
      if (sends) {
        send_by_two(warp, pipe, pair, warp.num_blocks() / 2);
      } else if (warp.index() == 0) {
        receive(warp, pipe, pair, warp.num_blocks() / 2);
      }
      return;
    }
    const int channel = pair * warp.num_warps() + warp.index();
    const int num_channels = warp.num_blocks() / 2 * warp.num_warps();
    if (sends) {
      for (int round = 1; round <= num_rounds; ++round) {
        if (!put(warp, pipe, channel, num_channels, round)) return;
        announce(warp, channel, num_channels, round);
      }
    } else {
      receive(warp, pipe, channel, num_channels);
    }
  }

 private:
  LLEP_DEVICE static std::uint32_t word_of(int channel, int round, int w) {
    return static_cast<std::uint32_t>(round) * 0x9e3779b9U +
           static_cast<std::uint32_t>(channel) * 0x85ebca6bU + static_cast<std::uint32_t>(w);
  }
  LLEP_DEVICE std::uint64_t signal_of(int channel, int num_channels) const {
    return row_of(num_channels) + static_cast<std::uint64_t>(channel) * kWordStride;
  }
  LLEP_DEVICE std::uint64_t ack_of(int channel, int num_channels) const {
    return signal_of(num_channels + channel, num_channels);
  }
  template <class Warp>
  LLEP_DEVICE bool wait(Warp& warp, std::uint64_t offset, int round) const {
    return wire.wait(
        warp, 1,
        [&](int) {
          return Awaited{.word = wire.words(0, offset), .peer = peer, .token = round};
        },
        static_cast<std::uint64_t>(round), WaitPhase::kDispatchRow);
  }
  template <class Warp>
  LLEP_DEVICE void tell(Warp& warp, std::uint64_t offset, int round) const {
    wire.signal(
        warp, 1, [&](int) { return Destination{.peer = peer, .offset = offset}; },
        static_cast<std::uint64_t>(round));
  }

  /// False: the receiver of the round before never answered.
  template <class Warp, class Pipe>
  LLEP_DEVICE bool put(Warp& warp, Pipe& pipe, int channel, int num_channels, int round) const {
    warp.for_each(static_cast<int>(row_bytes / 4), [&](int w) {
      reinterpret_cast<std::uint32_t*>(pipe.stage())[w] = word_of(channel, round, w);
    });
    pipe.publish(warp);
    if (!wait(warp, ack_of(channel, num_channels), round - 1)) return false;
    wire.put(
        warp, pipe, 1, [&](int) { return Destination{.peer = peer, .offset = row_of(channel)}; },
        Staged{.bytes = row_bytes});
    wire.commit(warp, pipe);
    return true;
  }
  template <class Warp>
  LLEP_DEVICE void announce(Warp& warp, int channel, int num_channels, int round) const {
    tell(warp, signal_of(channel, num_channels), round);
  }

  /// The first warp puts and commits, the last one signals; the block syncs in between. Warps whose
  /// waits have failed go on to the end: no warp may miss a sync.
  template <class Warp, class Pipe>
  LLEP_DEVICE void send_by_two(Warp& warp, Pipe& pipe, int channel, int num_channels) const {
    for (int round = 1; round <= num_rounds; ++round) {
      if (warp.index() == 0) put(warp, pipe, channel, num_channels, round);
      warp.block_sync();
      if (warp.index() == warp.num_warps() - 1) announce(warp, channel, num_channels, round);
    }
  }

  template <class Warp, class Pipe>
  LLEP_DEVICE void receive(Warp& warp, Pipe& pipe, int channel, int num_channels) const {
    const std::byte* row = wire.arrivals(0, row_of(channel));
    for (int round = 1; round <= num_rounds; ++round) {
      if (!wait(warp, signal_of(channel, num_channels), round)) return;
      if (bulk) {
        pipe.load(warp, row, row_bytes);
        pipe.wait(warp);
      }
      const auto* words = reinterpret_cast<const std::uint32_t*>(bulk ? pipe.stage() : row);
      warp.for_each(static_cast<int>(row_bytes / 4), [&](int w) {
        if (words[w] == word_of(channel, round, w)) return;
        Warp::fetch_min(first_bad,
                        static_cast<std::uint64_t>(round) << 32 | static_cast<std::uint64_t>(w));
      });
      warp.sync();
      tell(warp, ack_of(channel, num_channels), round);
    }
  }
};

constexpr int kRounds = 20'000;

struct LitmusSetup {
  int num_gpus = 1;
  Sender sender = Sender::kOneWarp;
  bool bulk = true;
  std::uint32_t row_bytes = 16;
};

/// One GPU's part, on a thread of its own as a rank has it.
class LitmusRank {
 public:
  LitmusRank(int rank, const LitmusSetup& setup)
      : rank_(rank), setup_(setup), device_(rank, rank, 1), first_bad_(device_.allocate_pinned(8)) {
    if (setup.num_gpus == 2) enable_peer(1 - rank);
    device_.faults().timeout_ns = 20'000'000'000;
    *bad() = Litmus::kNone;
    const int channels = Litmus::num_channels(device_.num_blocks(), setup.sender);
    heap_ = device_.allocate(Litmus::heap_bytes(channels, setup.row_bytes));
  }
  std::byte* heap() const { return heap_.get(); }

  void run(const IpcWire& wire) {
    Litmus litmus{.wire = wire,
                  .peer = setup_.num_gpus == 2 ? 1 - rank_ : 0,
                  .sender = setup_.sender,
                  .bulk = setup_.bulk,
                  .row_bytes = setup_.row_bytes,
                  .num_rounds = kRounds,
                  .first_bad = bad()};
    litmus.wire.rank = rank_;
    const std::uint32_t stage = (setup_.row_bytes + 127) / 128 * 128;
    cuda::launch(device_, {.stage_bytes = stage}, litmus);
    device_.synchronize();
  }
  void expect_clean() {
    const FaultRecord& fault = *device_.faults().record;
    EXPECT_EQ(fault.phase, WaitPhase::kNone)
        << "GPU " << rank_ << ": round " << fault.token << " never came from " << fault.peer;
    EXPECT_EQ(*bad(), Litmus::kNone)
        << "GPU " << rank_ << ": round " << (*bad() >> 32) << ", word " << (*bad() & 0xffffffffU)
        << " is another round's";
  }

 private:
  void enable_peer(int peer) const {
    const cudaError_t status = cudaDeviceEnablePeerAccess(peer, 0);
    if (status == cudaErrorPeerAccessAlreadyEnabled) {
      cudaGetLastError();
    } else {
      cuda::check(status, "enabling peer access");
    }
  }
  std::uint64_t* bad() const { return reinterpret_cast<std::uint64_t*>(first_bad_.get()); }

  int rank_;
  LitmusSetup setup_;
  CudaDevice device_;
  Memory first_bad_;
  Memory heap_;
};

void run_litmus(const LitmusSetup& setup) {
  std::vector<std::string> errors(static_cast<std::size_t>(setup.num_gpus));
  IpcWire wire;
  std::barrier meet(setup.num_gpus);
  const auto body = [&](int rank) {
    std::unique_ptr<LitmusRank> mine;
    try {
      mine = std::make_unique<LitmusRank>(rank, setup);
      wire.bases[rank] = mine->heap();
    } catch (const Error& error) {
      errors[static_cast<std::size_t>(rank)] = error.what();
    }
    meet.arrive_and_wait();
    const bool all = std::ranges::all_of(errors, [](const auto& one) { return one.empty(); });
    meet.arrive_and_wait();  // all have read the errors before one is added
    try {
      if (all) {
        mine->run(wire);
        mine->expect_clean();
      }
    } catch (const Error& error) {
      errors[static_cast<std::size_t>(rank)] = error.what();
    }
    meet.arrive_and_wait();  // nobody frees what the other's kernel may write
  };
  std::vector<std::jthread> ranks;
  for (int rank = 0; rank < setup.num_gpus; ++rank) ranks.emplace_back(body, rank);
  ranks.clear();
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

class LitmusTest : public testing::TestWithParam<std::tuple<int, std::uint32_t>> {
 protected:
  void SetUp() override {
    const int wanted = std::get<0>(GetParam());
    if (cuda::num_devices() == 0) GTEST_SKIP() << "no GPU";
    if (cuda::num_devices() < wanted) GTEST_SKIP() << "needs two GPUs";
    int there = 0;
    int back = 0;
    if (wanted == 2) {
      cuda::check(cudaDeviceCanAccessPeer(&there, 0, 1), "asking for peer access");
      cuda::check(cudaDeviceCanAccessPeer(&back, 1, 0), "asking for peer access");
      if (there == 0 || back == 0) GTEST_SKIP() << "the GPUs have no peer access";
    }
  }
  LitmusSetup setup() const {
    return {.num_gpus = std::get<0>(GetParam()), .row_bytes = std::get<1>(GetParam())};
  }
};

std::string name_of(const testing::TestParamInfo<std::tuple<int, std::uint32_t>>& one) {
  return std::to_string(std::get<0>(one.param)) + "gpu_" + std::to_string(std::get<1>(one.param)) +
         "bytes";
}

INSTANTIATE_TEST_SUITE_P(Gpus, LitmusTest,
                         testing::Combine(testing::Values(1, 2),
                                          testing::Values(16U, 128U, 1040U, 4096U, 14336U)),
                         name_of);

TEST_P(LitmusTest, a_row_behind_its_signal_is_the_signals) { run_litmus(setup()); }

TEST_P(LitmusTest, ordinary_loads_see_the_row_as_well) {
  LitmusSetup ordinary = setup();
  ordinary.bulk = false;
  run_litmus(ordinary);
}

TEST_P(LitmusTest, one_warp_puts_another_signals) {
  LitmusSetup apart = setup();
  apart.sender = Sender::kTwoWarps;
  run_litmus(apart);
}

}  // namespace
}  // namespace llep
