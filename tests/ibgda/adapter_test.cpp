// SPDX-License-Identifier: MIT
// Queues of libmlx5 driven by warps; two ranks under mpirun, over whatever adapter there is.
#include "tests/ibgda/adapter_rank.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>


namespace llep {
namespace {

class Adapter : public testing::Test {
 protected:
  void TearDown() override { world_.barrier(); }

  MpiCommunicator world_ = MpiCommunicator::world();
  AdapterRank mine_{world_};
};

using Block = std::array<std::byte, kWqeBytes>;

/// An entry as libmlx5's ibv_post_send leaves it in the ring.
class PostedByLibrary {
 public:
  explicit PostedByLibrary(AdapterRank& rank)
      : rank_(rank), qp_(rank.mesh().qp(rank.next(), 0)), far_(rank.mesh().ranks[peer()]) {
    mlx5dv_obj objects = {};
    objects.qp = {.in = qp_, .out = &ring_};
    EXPECT_EQ(mlx5dv_init_obj(&objects, MLX5DV_OBJ_QP), 0);
  }

  WqeRemote to() const { return {.address = far_.heap_address + 512, .rkey = far_.heap_rkey}; }
  WqeLocal from(std::uint32_t bytes) const {
    return {.address = rank_.mesh().heap.address,
            .bytes = bytes,
            .lkey = rank_.mesh().heap.mr.get()->lkey};
  }
  WqeHead head(bool completion) const {
    return {.position = position_, .qpn = qp_->qp_num, .completion = completion};
  }

  Block post(ibv_send_wr request, const void* source, std::uint32_t bytes) {
    ibv_sge piece = {.addr = reinterpret_cast<std::uint64_t>(source),
                     .length = bytes,
                     .lkey = from(bytes).lkey};
    request.sg_list = &piece;
    request.num_sge = 1;
    std::byte* slot = static_cast<std::byte*>(ring_.sq.buf) +
                      position_ % ring_.sq.wqe_cnt * kWqeBytes;
    std::memset(slot, 0, kWqeBytes);
    ibv_send_wr* refused = nullptr;
    EXPECT_EQ(ibv_post_send(qp_, &request, &refused), 0);
    Block block = {};
    std::memcpy(block.data(), slot, kWqeBytes);
    ++position_;
    return block;
  }
  ibv_send_wr write(unsigned flags) const {
    ibv_send_wr request = {};
    request.opcode = IBV_WR_RDMA_WRITE;
    request.send_flags = flags;
    request.wr.rdma.remote_addr = to().address;
    request.wr.rdma.rkey = to().rkey;
    return request;
  }
  ibv_send_wr fetch_add(std::uint64_t value) const {
    ibv_send_wr request = {};
    request.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD;
    request.send_flags = IBV_SEND_SIGNALED;
    request.wr.atomic.remote_addr = to().address;
    request.wr.atomic.rkey = to().rkey;
    request.wr.atomic.compare_add = value;
    return request;
  }

 private:
  std::size_t peer() const { return static_cast<std::size_t>(rank_.next()); }

  AdapterRank& rank_;
  ibv_qp* qp_;
  Endpoint far_;
  mlx5dv_qp ring_ = {};
  std::uint64_t position_ = 0;
};

Block bytes_of(const Wqe& entry) {
  Block block = {};
  std::memcpy(block.data(), entry.segment,
              static_cast<std::size_t>(entry.num_segments) * sizeof(Vec16));
  return block;
}

TEST_F(Adapter, entries_are_those_that_ibv_post_send_writes) {
  mine_.connect({.signal_atomic = true, .send_depth = 64});
  PostedByLibrary library(mine_);
  const void* rows = mine_.word(0);
  for (const unsigned flags : {0U, static_cast<unsigned>(IBV_SEND_SIGNALED)}) {
    const WqeHead head = library.head(flags != 0);
    EXPECT_EQ(bytes_of(encode_write(head, library.to(), library.from(4096))),
              library.post(library.write(flags), rows, 4096));
  }
  for (const std::uint32_t bytes : {4U, 8U}) {
    const std::uint64_t value = 0x0123456789abcdef;
    const WqeHead head = library.head(true);
    const Wqe ours = bytes == 4 ? encode_inline(head, library.to(), static_cast<std::uint32_t>(value))
                                : encode_inline(head, library.to(), value);
    EXPECT_EQ(bytes_of(ours),
              library.post(library.write(IBV_SEND_SIGNALED | IBV_SEND_INLINE), &value, bytes));
  }
  const WqeHead head = library.head(true);
  EXPECT_EQ(bytes_of(encode_fetch_add(head, library.to(), 77, library.from(8))),
            library.post(library.fetch_add(77), rows, 8));
}

/// Rows and signals of several warps through one queue pair of 64 entries. A warp is at most
/// kAhead rows ahead of its partner at the peer, and neither a row's source nor its place is used
/// again before that.
constexpr std::uint64_t kAhead = 8;
constexpr std::uint64_t kPlaces = 4 * kAhead;
constexpr std::uint64_t kRowBytes = 256;

struct WarpRows {
  AdapterRank& rank;
  int warp;

  std::uint64_t source(std::uint64_t n) const { return place(0, n); }
  std::uint64_t arrival(std::uint64_t n) const { return place(1, n); }
  std::uint64_t signal() const { return place(2, 0) + static_cast<std::uint64_t>(warp) * 8; }
  void fill(std::uint64_t n) const {
    for (std::uint64_t w = 0; w < kRowBytes / 8; ++w) rank.word(source(n))[w] = n * 1000 + w;
  }
  std::uint64_t num_wrong(std::uint64_t n) const {
    std::uint64_t wrong = 0;
    for (std::uint64_t w = 0; w < kRowBytes / 8; ++w) {
      wrong += rank.word(arrival(n))[w] != n * 1000 + w ? 1 : 0;
    }
    return wrong;
  }

 private:
  static std::uint64_t place(std::uint64_t area, std::uint64_t n) {
    return area * AdapterRank::kWarps * kPlaces * kRowBytes + n * kRowBytes;
  }
};

TEST_F(Adapter, one_queue_pair_goes_past_200_000_entries) {
  constexpr std::uint64_t kRows = 26'000;  // of each warp, two entries each
  mine_.connect({.send_depth = 64});
  mine_.map(64);
  mine_.device().faults().timeout_ns = 30'000'000'000;
  std::atomic<std::uint64_t> wrong = 0;
  std::atomic<int> failed = 0;
  mine_.run([&](host::Warp& warp) {
    const WarpRows rows{mine_, warp.index()};
    const auto first = static_cast<std::uint64_t>(warp.index()) * kPlaces;
    const auto queue = mine_.posting(mine_.next());
    const std::uint32_t lkey = mine_.mesh().heap.mr.get()->lkey;
    bool ok = true;
    for (std::uint64_t n = 1; n <= kRows && ok; ++n) {
      const std::uint64_t at = first + n % kPlaces;
      rows.fill(at);
      std::uint64_t* source = mine_.word(rows.source(at));
      *source = n;
      ok = queue.post(warp, {.policy = {.every = 0}}, [&](int, const WqeHead& head, const SendQueue& q) {
        return encode_write(head, {.address = q.far_base + rows.arrival(at), .rkey = q.rkey},
                            {.address = reinterpret_cast<std::uint64_t>(source),
                             .bytes = kRowBytes,
                             .lkey = lkey});
      });
      const PostRules ring{.completion = Completion::kAsk, .doorbell = Doorbell::kNow};
      ok = ok && queue.post(warp, ring, [&](int, const WqeHead& head, const SendQueue& q) {
        return encode_inline(head, {.address = q.far_base + rows.signal(), .rkey = q.rkey}, n);
      });
      if (n <= kAhead) continue;
      ok = ok && mine_.arrives(warp, rows.signal(), n - kAhead, mine_.next());
      wrong += *mine_.word(rows.arrival(first + (n - kAhead) % kPlaces)) == n - kAhead ? 0 : 1;
    }
    ok = ok && mine_.arrives(warp, rows.signal(), kRows, mine_.next());
    failed += ok && queue.drain(warp) ? 0 : 1;
  });
  EXPECT_EQ(failed, 0) << to_string(mine_.fault().phase);
  EXPECT_EQ(wrong, 0U);
  const QueueState state = mine_.queues().state(mine_.next(), 0);
  EXPECT_GT(state.reserved, 200'000U);
  EXPECT_EQ(state.completed, state.reserved);
  EXPECT_TRUE(mine_.queues().has_completed(mine_.next()));
}

/// One signal over every channel; each word says which.
void signal_all(AdapterRank& mine, int channels) {
  mine.run_one([&](host::Warp& warp) {
    for (int c = 0; c < channels; ++c) {
      const std::uint64_t offset = static_cast<std::uint64_t>(c) * 8;
      mine.posting(mine.next(), c)
          .post(warp, {.completion = Completion::kAsk, .doorbell = Doorbell::kNow},
                [&](int, const WqeHead& head, const SendQueue& q) {
                  return encode_inline(head, {.address = q.far_base + offset, .rkey = q.rkey},
                                       static_cast<std::uint64_t>(c + 1));
                });
    }
    for (int c = 0; c < channels; ++c) {
      EXPECT_TRUE(mine.arrives(warp, static_cast<std::uint64_t>(c) * 8,
                               static_cast<std::uint64_t>(c + 1), mine.next()));
      EXPECT_TRUE(mine.posting(mine.next(), c).drain(warp));
    }
  });
}

TEST_F(Adapter, more_channels_than_16_are_as_many_queue_pairs) {
  constexpr int kChannels = 40;
  mine_.connect({.send_depth = 64}, kChannels);
  mine_.map(64);
  EXPECT_EQ(mine_.queues().num_queues(), kChannels * (world_.size() - 1));
  EXPECT_EQ(mine_.queues().num_sharing(), 0) << "registers of their own";
  std::set<std::uint32_t> numbers;
  for (int c = 0; c < kChannels; ++c) numbers.insert(mine_.queue(mine_.next(), c).qpn);
  EXPECT_EQ(numbers.size(), static_cast<std::size_t>(kChannels));
  signal_all(mine_, kChannels);
}

TEST_F(Adapter, queue_pairs_that_share_registers_lose_no_doorbell) {
  constexpr int kChannels = 24;
  mine_.connect({.send_depth = 64}, kChannels, false);
  mine_.map(64);
  EXPECT_GT(mine_.queues().num_sharing(), 0);
  for (int round = 0; round < 20; ++round) {
    for (int c = 0; c < kChannels; ++c) *mine_.word(static_cast<std::uint64_t>(c) * 8) = 0;
    world_.barrier();
    signal_all(mine_, kChannels);
    world_.barrier();
  }
}

/// What a queue's error becomes: a record on the device, and words on the host.
void expect_error(AdapterRank& mine, ibv_wc_status status, std::uint32_t syndrome) {
  bool ok = true;
  mine.run_one([&](host::Warp& warp) {
    const auto queue = mine.posting(mine.next());
    queue.post(warp, {.completion = Completion::kAsk, .doorbell = Doorbell::kNow},
               [&](int, const WqeHead& head, const SendQueue& q) {
                 return encode_inline(head, {.address = q.far_base, .rkey = q.rkey},
                                      std::uint64_t{1});
               });
    ok = queue.drain(warp);
  });
  EXPECT_FALSE(ok);
  EXPECT_EQ(mine.fault().phase, WaitPhase::kIbgdaError);
  EXPECT_EQ(mine.fault().peer, mine.next());
  EXPECT_EQ(mine.fault().expected, static_cast<std::uint64_t>(WqeOpcode::kWrite));
  EXPECT_EQ(mine.fault().seen & 0xff, syndrome);
  const auto error = mine.queues().error();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->completion.status, status);
  EXPECT_EQ(error->peer, mine.next());
  EXPECT_EQ(error->qpn, mine.queue(mine.next()).qpn);
}

TEST_F(Adapter, a_key_that_the_peer_does_not_know_is_an_error_with_its_name) {
  mine_.connect({.send_depth = 64});
  if (mine_.rank() == 0) {
    mine_.mesh().ranks[1].heap_rkey ^= 0x10;
    mine_.map(64);
    EXPECT_FALSE(mine_.queues().error().has_value());
    expect_error(mine_, IBV_WC_REM_ACCESS_ERR, MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR);
  }
}

TEST_F(Adapter, a_queue_pair_in_error_flushes_its_entries) {
  mine_.connect({.send_depth = 64});
  if (mine_.rank() == 0) {
    mine_.map(64);
    end_qp(mine_.mesh().qp(1, 0));
    expect_error(mine_, IBV_WC_WR_FLUSH_ERR, MLX5_CQE_SYNDROME_WR_FLUSH_ERR);
  }
}

TEST_F(Adapter, a_peer_that_is_gone_is_an_error_within_the_deadline) {
  mine_.connect({.send_depth = 64, .ack_timeout = 12});
  if (mine_.rank() == 1) mine_.disconnect();
  world_.barrier();
  if (mine_.rank() == 0) {
    mine_.map(64);
    expect_error(mine_, IBV_WC_RETRY_EXC_ERR, MLX5_CQE_SYNDROME_TRANSPORT_RETRY_EXC_ERR);
  }
}

TEST_F(Adapter, a_doorbell_that_nobody_hears_ends_at_the_deadline) {
  mine_.connect({.send_depth = 64});
  mine_.map(64);
  mine_.device().faults().timeout_ns = 200'000'000;
  mine_.queues().deafen();
  bool drained = true;
  mine_.run_one([&](host::Warp& warp) {
    const auto queue = mine_.posting(mine_.next());
    queue.post(warp, {.doorbell = Doorbell::kNow},
               [](int, const WqeHead& head, const SendQueue&) { return encode_nop(head); });
    drained = queue.drain(warp);
  });
  EXPECT_FALSE(drained);
  EXPECT_EQ(mine_.fault().phase, WaitPhase::kIbgdaDrain);
  EXPECT_EQ(mine_.fault().expected, 1U);
  EXPECT_FALSE(mine_.queues().error().has_value());
  EXPECT_FALSE(mine_.queues().has_completed(mine_.next()));
}

}  // namespace
}  // namespace llep

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const llep::MpiSession session;
  llep::MpiCommunicator world = llep::MpiCommunicator::world();
  // A test that fails on one rank fails the run of all.
  const auto failed = llep::gather_all(world, RUN_ALL_TESTS());
  return *std::max_element(failed.begin(), failed.end());
}
