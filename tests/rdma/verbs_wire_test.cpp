// SPDX-License-Identifier: MIT
// Runs under mpirun over soft-RoCE: in_guest.sh, where all ranks have one device, and in part
// in_cluster.sh.
#include "tests/mpi_main.hpp"
#include "transport/fifo/verbs_wire.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "common/exec/host_device.hpp"
#include "common/mpi_session.hpp"
#include "tests/rdma/guest.hpp"

namespace llep {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kHeapBytes = 20 << 20;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// One rank with its heap and wires, and work that names ring positions in order.
class VerbsRankUnderTest {
 public:
  explicit VerbsRankUnderTest(MpiCommunicator& world) : world_(world) {}

  /// Patient, unless a test wants a silent peer found out.
  void connect(VerbsOptions options, const VerbsRank& rank = {}) {
    if (options.ack_timeout == VerbsOptions().ack_timeout) options.ack_timeout = kGuestAckTimeout;
    made_ = make_verbs_wires(options, rank)(world_, heap_, map_);
  }
  /// Ends this rank's half of the link, as its end would.
  void disconnect() { made_.wires.clear(); }

  int rank() const { return world_.rank(); }
  int next() const { return (rank() + 1) % world_.size(); }
  FarHeap& heap() { return heap_; }
  ChannelMap& map() { return map_; }
  const ProxyWires& made() const { return made_; }
  ProxyWire& wire() { return *made_.wires.front(); }

  std::uint64_t& word(std::uint64_t offset) {
    return *reinterpret_cast<std::uint64_t*>(heap_.base + offset);
  }
  std::uint64_t seen(std::uint64_t offset) {
    return std::atomic_ref(word(offset)).load(std::memory_order_acquire);
  }

  void post(const Descriptor& what) {
    const Work work{.what = what, .end = ++end_};
    wait_until([&] { return wire().post(std::span(&work, 1)) == 1; });
  }
  void signal(int peer, std::uint64_t offset, std::uint64_t value) {
    post({.kind = DescriptorKind::kSignal, .peer = peer, .to = offset, .from = value});
  }
  void complete() {
    wait_until([&] { return wire().progress() == end_; });
  }
  void wait_until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!done()) {
      wire().progress();
      if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("60 s have passed");
      std::this_thread::yield();
    }
  }

 private:
  MpiCommunicator& world_;
  HostDevice device_{0, {.num_blocks = 1, .warps_per_block = 1}};
  Memory memory_ = device_.allocate(kHeapBytes);
  FarHeap heap_{.base = memory_.get(),
                .posted = memory_.get(),
                .words = memory_.get(),
                .bytes = kHeapBytes,
                .device = &device_};
  ChannelMap map_{.num_ranks = world_.size()};
  ProxyWires made_ = {};
  std::uint64_t end_ = 0;
};

class VerbsWire : public testing::Test {
 protected:
  /// What an Error that all ranks throw alike says.
  std::string refusal(ExitCode code, const VerbsOptions& options, const VerbsRank& rank = {}) {
    try {
      mine_.connect(options, rank);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_TRUE(error.agreed());
      return error.what();
    }
    return "nothing was thrown";
  }
  /// What an Error of this rank alone says.
  static std::string failure(const std::function<void()>& f) {
    try {
      f();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kInternal);
      return error.what();
    } catch (const std::exception& error) {
      return error.what();
    }
    return "nothing was thrown";
  }

  MpiCommunicator world_ = MpiCommunicator::world();
  VerbsRankUnderTest mine_{world_};
};

TEST_F(VerbsWire, says_what_it_uses) {
  EXPECT_EQ(why_no_verbs(), std::nullopt);
  mine_.connect({});
  EXPECT_EQ(mine_.made().description,
            "verbs: rxe0 port 1 GID 1 (RoCEv2 10.9.0.1), heap registered as host memory, signals "
            "by write");
  EXPECT_EQ(mine_.made().stand_ins, std::vector<std::string>{"rxe"});
  EXPECT_EQ(mine_.made().pci_bus_id, "");
  const std::string& warning = mine_.made().warning;
  EXPECT_EQ(warning.find("ranks 0, 1"), 0U) << warning;
  EXPECT_TRUE(contains(warning, "share the adapter rxe0")) << warning;
  world_.barrier();
}

TEST_F(VerbsWire, takes_ports_and_gids_as_they_are_named) {
  mine_.connect({.nic_map = {"rxe0:1"}, .gid_index = 1, .signal_atomic = true});
  EXPECT_TRUE(contains(mine_.made().description, "signals by atomic")) << mine_.made().description;
  EXPECT_EQ(refusal(ExitCode::kUsage, {.nic_map = {"mlx5_0"}}),
            "--nic-map: rank 0 has no usable port mlx5_0; it has rxe0");
  const std::string gid = refusal(ExitCode::kUnavailable, {.gid_index = 77});
  EXPECT_TRUE(contains(gid, "rank 0: verbs: choosing a GID: index 77 is empty")) << gid;
  EXPECT_TRUE(contains(gid, "GID 1 (RoCEv2 10.9.0.1)")) << gid;
}

TEST_F(VerbsWire, limits_are_checked_before_connecting) {
  const std::string depth = refusal(ExitCode::kUnavailable, {.send_depth = 1 << 28});
  EXPECT_TRUE(contains(depth, "(max_qp_wr) are needed, the device has at most ")) << depth;
  mine_.map().channels_per_peer = 1 << 20;
  mine_.map().num_proxies = 16;
  const std::string many = refusal(ExitCode::kUnavailable, {});
  EXPECT_TRUE(contains(many, "queue pairs (max_qp) are needed, the device has at most ")) << many;
}

TEST_F(VerbsWire, device_memory_is_registered_by_dmabuf_or_as_peer_memory) {
  mine_.heap().device_memory = true;  // host memory that claims to be: soft-RoCE knows no dma-buf
  VerbsRank rank;
  rank.export_dmabuf = [] { return ::dup(0); };
  mine_.connect({}, rank);
  EXPECT_TRUE(contains(mine_.made().description, "heap registered as peer memory"))
      << mine_.made().description;
  const std::string forced = refusal(ExitCode::kUnavailable, {.mr_mode = MrMode::kDmabuf}, rank);
  EXPECT_TRUE(contains(forced, "dma-buf: ibv_reg_dmabuf_mr: ")) << forced;
  EXPECT_TRUE(contains(forced, "peer memory: not tried (--mr-mode dmabuf)")) << forced;
  const std::string none = refusal(ExitCode::kUnavailable, {.mr_mode = MrMode::kDmabuf});
  EXPECT_TRUE(contains(none, "cannot be exported as dma-buf")) << none;
  const std::string host = refusal(ExitCode::kUnavailable, {.mr_mode = MrMode::kHost}, rank);
  EXPECT_TRUE(contains(host, "--mr-mode host, but it is device memory")) << host;
}

/// The last word of each put tells the receiver, at any time, how far the rows must be there.
TEST_F(VerbsWire, a_short_send_queue_goes_round) {
  constexpr std::uint32_t kRowBytes = 4096;
  constexpr std::uint64_t kRows = 32;
  constexpr std::uint64_t kArrived = kRows * kRowBytes;  // rows of the previous rank, then its word
  constexpr std::uint64_t kWord = 2 * kArrived;
  mine_.connect({.send_depth = 6});
  for (std::uint64_t round = 1; round <= 4; ++round) {
    for (std::uint64_t i = 0; i < kRows * kRowBytes; i += 8) mine_.word(i) = i * round;
    for (std::uint64_t row = 0; row < kRows; ++row) {
      mine_.post({.kind = DescriptorKind::kPut,
                  .peer = mine_.next(),
                  .bytes = kRowBytes,
                  .to = kArrived + row * kRowBytes,
                  .from = row * kRowBytes});
      mine_.signal(mine_.next(), kWord, (round - 1) * kRows + row + 1);
    }
    mine_.wait_until([&] { return mine_.seen(kWord) >= round * kRows; });
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < kArrived; i += 8) {
      wrong += mine_.word(kArrived + i) != i * round ? 1 : 0;
    }
    EXPECT_EQ(wrong, 0U) << "round " << round;
    mine_.complete();
    world_.barrier();  // the rows are judged: the next round may overwrite them
  }
}

/// A rank is at most kAhead rows ahead of the one before it. Rows lie so far apart that nobody's
/// source or place is used again before the row was judged, whichever way round the ranks it goes.
TEST_F(VerbsWire, a_short_send_queue_has_no_end) {
  constexpr std::uint32_t kRowBytes = 64;
  constexpr std::uint64_t kAhead = 64;
  // By hand a million of them.
  const std::uint64_t num_rows = std::getenv("LLEP_LONG_TESTS") != nullptr ? 1'000'000 : 1'000;
  const std::uint64_t places = kAhead * static_cast<std::uint64_t>(world_.size() + 1);
  const std::uint64_t arrived = places * kRowBytes;
  const std::uint64_t signal = 2 * arrived;
  mine_.connect({.send_depth = 64});
  std::uint64_t wrong = 0;
  for (std::uint64_t n = 1; n <= num_rows + kAhead; ++n) {
    const std::uint64_t from = n % places * kRowBytes;
    if (n <= num_rows) {
      for (std::uint64_t i = 0; i < kRowBytes; i += 8) mine_.word(from + i) = n * 1000 + i;
      mine_.post({.kind = DescriptorKind::kPut,
                  .peer = mine_.next(),
                  .bytes = kRowBytes,
                  .to = arrived + from,
                  .from = from});
      mine_.signal(mine_.next(), signal, n);
    }
    if (n <= kAhead) continue;
    const std::uint64_t due = n - kAhead;
    mine_.wait_until([&] { return mine_.seen(signal) >= due; });
    for (std::uint64_t i = 0; i < kRowBytes; i += 8) {
      wrong += mine_.word(arrived + due % places * kRowBytes + i) != due * 1000 + i ? 1 : 0;
    }
  }
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(mine_.seen(signal), num_rows);
  mine_.complete();  // all that was posted, and no more
  world_.barrier();
}

/// soft-RoCE's messages have at most 8 MiB. Between two guests most of this is carried out after it
/// was posted: a signal that went another way, or a source said to be free too early, is seen.
TEST_F(VerbsWire, a_put_larger_than_a_message_goes_in_several) {
  constexpr std::uint32_t kBytes = 9 << 20;
  mine_.map().channels_per_peer = 2;
  mine_.connect({});
  if (mine_.rank() == 0) {
    for (std::uint64_t i = 0; i < kBytes; i += 8) mine_.word(i) = ~i;
    mine_.post(
        {.kind = DescriptorKind::kPut, .peer = 1, .channel = 1, .bytes = kBytes, .to = kBytes});
    mine_.post(
        {.kind = DescriptorKind::kSignal, .peer = 1, .channel = 1, .to = 2 * kBytes, .from = 1});
    mine_.complete();
    std::memset(mine_.heap().base, 0, kBytes);
  } else if (mine_.rank() == 1) {
    mine_.wait_until([&] { return mine_.seen(2 * kBytes) == 1; });
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < kBytes; i += 8) wrong += mine_.word(kBytes + i) != ~i ? 1 : 0;
    EXPECT_EQ(wrong, 0U);
  }
  world_.barrier();
}

TEST_F(VerbsWire, atomic_signals_start_again_from_zeros) {
  mine_.connect({.signal_atomic = true});
  for (const std::uint64_t last : {std::uint64_t{7}, ~std::uint64_t{0}, std::uint64_t{3}}) {
    for (const std::uint64_t value : {std::uint64_t{1}, std::uint64_t{2}, last}) {
      mine_.signal(mine_.next(), 64, value);
    }
    mine_.wait_until([&] { return mine_.seen(64) == last; });
    mine_.complete();
    world_.barrier();
    mine_.word(64) = 0;
    mine_.wire().signals_zeroed();
    world_.barrier();
  }
}

TEST_F(VerbsWire, near_peers_get_no_queue_pairs) {
  VerbsRank rank;
  rank.near.resize(static_cast<std::size_t>(world_.size()), true);
  mine_.connect({}, rank);
  const std::string text = failure([&] { mine_.signal(mine_.next(), 0, 1); });
  EXPECT_TRUE(contains(text, "came to a proxy that has no queue pair for it")) << text;
}

TEST_F(VerbsWire, a_write_outside_the_heap_is_refused_in_words) {
  mine_.connect({});
  if (mine_.rank() == 0) {  // one alone: a refusal ends the peer's half of the link too
    const std::string text = failure([&] {
      mine_.signal(1, kHeapBytes, 1);
      mine_.complete();
    });
    EXPECT_EQ(text.find("verbs: writing to rank 1 over rxe0 port 1 GID 1 (RoCEv2 10.9.0.1) (queue "
                        "pair 0x"),
              0U)
        << text;
    EXPECT_TRUE(contains(text, "completion status 10 (remote access error)")) << text;
  }
  world_.barrier();
}

TEST_F(VerbsWire, a_broken_link_fails_on_both_sides_in_words) {
  mine_.connect({.ack_timeout = 12});
  if (mine_.rank() == 0) mine_.wire().break_link();
  world_.barrier();
  const std::string text = failure([&] {
    mine_.signal(mine_.rank() == 0 ? 1 : 0, 0, 1);
    mine_.complete();
  });
  if (mine_.rank() == 0) {
    EXPECT_TRUE(contains(text, "verbs: writing to rank 1 over rxe0")) << text;
    EXPECT_TRUE(contains(text, "completion status 5 (Work Request Flushed Error)")) << text;
    EXPECT_TRUE(contains(text, "in the error state already")) << text;
  } else {
    EXPECT_TRUE(contains(text, "verbs: writing to rank 0 over rxe0")) << text;
    EXPECT_TRUE(contains(text, "completion status 12 (transport retry counter exceeded)")) << text;
  }
  world_.barrier();
}

TEST_F(VerbsWire, a_peer_that_is_gone_is_named) {
  mine_.connect({.ack_timeout = 12});
  const int last = world_.size() - 1;
  if (mine_.rank() == last) mine_.disconnect();
  world_.barrier();
  if (mine_.rank() != last) {
    const std::string text = failure([&] {
      mine_.signal(last, 0, 1);
      mine_.complete();
    });
    EXPECT_TRUE(contains(text, "writing to rank " + std::to_string(last))) << text;
    EXPECT_TRUE(contains(text, "completion status 12")) << text;
    EXPECT_TRUE(contains(text, "is its process alive?")) << text;
  }
  world_.barrier();
}

}  // namespace
}  // namespace llep

int main(int argc, char** argv) {
  return llep::run_mpi_tests(argc, argv);
}
