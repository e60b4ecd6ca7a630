// SPDX-License-Identifier: MIT
// Queues of libmlx5 driven by warps; two ranks under mpirun, over whatever adapter there is.
#include "tests/ibgda/adapter_rank.hpp"
#include "tests/mpi_main.hpp"
#include "transport/ibgda/ibgda_transport.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <set>

namespace llep {
namespace {

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
    ibv_sge piece = {
        .addr = reinterpret_cast<std::uint64_t>(source), .length = bytes, .lkey = from(bytes).lkey};
    request.sg_list = &piece;
    request.num_sge = 1;
    std::byte* slot =
        static_cast<std::byte*>(ring_.sq.buf) + position_ % ring_.sq.wqe_cnt * kWqeBytes;
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

TEST_F(AdapterTest, entries_are_those_that_ibv_post_send_writes) {
  mine_.connect({.signal_atomic = true, .send_depth = 64});
  PostedByLibrary library(mine_);
  const void* rows = mine_.word(0);
  for (const unsigned flags : {0U, static_cast<unsigned>(IBV_SEND_SIGNALED)}) {
    const WqeHead head = library.head(flags != 0);
    EXPECT_EQ(bytes_of(encode_write(head, library.to(), library.from(4096))),
              library.post(library.write(flags), rows, 4096));
  }
  InlineWords words;
  for (std::uint32_t bytes = 4; bytes <= kMostInlineBytes; bytes += 4) {
    words.word[bytes / 4 - 1] = 0x01234567 * bytes;
    const WqeHead head = library.head(true);
    EXPECT_EQ(bytes_of(encode_inline(head, library.to(), words, bytes)),
              library.post(library.write(IBV_SEND_SIGNALED | IBV_SEND_INLINE), words.word, bytes))
        << bytes;
  }
  const WqeHead head = library.head(true);
  EXPECT_EQ(bytes_of(encode_fetch_add(head, library.to(), 77, library.from(8))),
            library.post(library.fetch_add(77), rows, 8));
}

TEST_F(AdapterTest, registered_inputs_are_sent_from_where_they_lie) {
  constexpr std::uint64_t kBytes = 8192;
  HostDevice& device = mine_.device();
  const Memory rows = device.allocate_pages(kBytes);
  const std::vector<bool> near(static_cast<std::size_t>(world_.size()), false);
  SymmetricHeap heap(world_, device, AdapterRank::kHeapBytes, near);
  const auto transport = make_ibgda_transport({.verbs = {.send_depth = 64}, .near = near});
  transport->connect(world_, heap);
  const auto sends_from = [&](std::uint64_t offset) {
    return std::get<HybridWire<IbgdaWire>>(transport->wire())
        .far.can_send_from(rows.get() + offset, 256);
  };
  EXPECT_FALSE(sends_from(0));
  auto registered = transport->send_from(rows.get(), kBytes);
  EXPECT_TRUE(sends_from(0));
  EXPECT_TRUE(sends_from(kBytes - 256));
  EXPECT_FALSE(sends_from(kBytes - 255));
  registered.reset();
  EXPECT_FALSE(sends_from(0));
  transport->disconnect(world_);
}

TEST_F(AdapterTest, service_level_and_traffic_class_are_in_the_address) {
  mine_.connect({.service_level = 15, .traffic_class = 255});
  ibv_qp_attr attributes = {};
  ibv_qp_init_attr created = {};
  ASSERT_EQ(ibv_query_qp(mine_.mesh().qp(mine_.next(), 0), &attributes, IBV_QP_AV, &created), 0);
  EXPECT_EQ(attributes.ah_attr.sl, 15);
  EXPECT_EQ(attributes.ah_attr.grh.traffic_class, 255);
}

/// Rows and signals of several warps through one queue pair of 64 entries. A warp is at most
/// kAhead rows ahead of its partner at the peer, and neither a row's source nor its place is used
/// again before that.
constexpr std::uint64_t kAhead = 8;
constexpr std::uint64_t kPlaces = 4 * kAhead;
constexpr std::uint64_t kRowBytes = 256;

/// One warp's part: rows and signals until kRows, each partner's row looked at once it must be
/// there.
struct RowsOfWarp {
  AdapterRank& rank;
  int warp_index;
  std::uint64_t num_wrong = 0;

  bool exchange(host::Warp& warp, std::uint64_t num_rows) {
    bool ok = true;
    for (std::uint64_t n = 1; n <= num_rows && ok; ++n) {
      ok = send(warp, n);
      if (n <= kAhead) continue;
      ok = ok && rank.arrives(warp, signal(), n - kAhead, rank.next());
      num_wrong += wrong_words(n - kAhead);
    }
    ok = ok && rank.arrives(warp, signal(), num_rows, rank.next());
    return ok && rank.posting(rank.next()).drain(warp);
  }

 private:
  std::uint64_t place(std::uint64_t area, std::uint64_t n) const {
    const auto warp = static_cast<std::uint64_t>(warp_index);
    return ((area * AdapterRank::kWarps + warp) * kPlaces + n % kPlaces) * kRowBytes;
  }
  std::uint64_t signal() const { return place(2, 0) + static_cast<std::uint64_t>(warp_index) * 8; }
  std::uint64_t wrong_words(std::uint64_t n) const {
    std::uint64_t wrong = 0;
    for (std::uint64_t w = 0; w < kRowBytes / 8; ++w) {
      wrong += rank.word(place(1, n))[w] != n * 1000 + w ? 1 : 0;
    }
    return wrong;
  }
  bool send(host::Warp& warp, std::uint64_t n) const {
    std::uint64_t* row = rank.word(place(0, n));
    for (std::uint64_t w = 0; w < kRowBytes / 8; ++w) row[w] = n * 1000 + w;
    const WqeLocal from{.address = reinterpret_cast<std::uint64_t>(row),
                        .bytes = kRowBytes,
                        .lkey = rank.mesh().heap.mr.get()->lkey};
    const auto queue = rank.posting(rank.next());
    const auto write = [&](int, const WqeHead& head, const SendQueue& q) {
      return encode_write(head, {.address = q.far_base + place(1, n), .rkey = q.rkey}, from);
    };
    const auto tell = [&](int, const WqeHead& head, const SendQueue& q) {
      return encode_inline(head, {.address = q.far_base + signal(), .rkey = q.rkey}, n);
    };
    return queue.post(warp, {.policy = {.every = 0}}, write) &&
           queue.post(warp, {.completion = Completion::kAsk, .doorbell = Doorbell::kNow}, tell);
  }
};

TEST_F(AdapterTest, one_queue_pair_goes_past_200_000_entries) {
  // Of each of four warps, two entries each; by hand once a million of them.
  const std::uint64_t num_rows = std::getenv("LLEP_LONG_TESTS") != nullptr ? 130'000 : 26'000;
  mine_.connect({.send_depth = 64});
  mine_.map(64);
  mine_.device().faults().timeout_ns = 30'000'000'000;
  std::atomic<std::uint64_t> wrong = 0;
  std::atomic<int> failed = 0;
  mine_.run([&](host::Warp& warp) {
    RowsOfWarp rows{mine_, warp.index()};
    failed += rows.exchange(warp, num_rows) ? 0 : 1;
    wrong += rows.num_wrong;
  });
  EXPECT_EQ(failed, 0) << to_string(mine_.fault().phase);
  EXPECT_EQ(wrong, 0U);
  const QueueState state = mine_.queues().state(mine_.next(), 0);
  EXPECT_GE(state.reserved, num_rows * 8);
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

TEST_F(AdapterTest, more_channels_than_16_are_as_many_queue_pairs) {
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

TEST_F(AdapterTest, queue_pairs_that_share_registers_lose_no_doorbell) {
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

}  // namespace
}  // namespace llep

int main(int argc, char** argv) {
  return llep::run_mpi_tests(argc, argv);
}
