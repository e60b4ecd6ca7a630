// SPDX-License-Identifier: MIT
// Entries as rdma-core's own public inline helpers write them, byte for byte.
#include "transport/ibgda/wqe.hpp"

#include <endian.h>
#include <infiniband/mlx5dv.h>

#include <array>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "transport/ibgda/cqe.hpp"

namespace llep {
namespace {

using Block = std::array<std::byte, kWqeBytes>;

Block bytes_of(const Wqe& entry) {
  Block block = {};
  std::memcpy(block.data(), entry.segment,
              static_cast<std::size_t>(entry.num_segments) * sizeof(Vec16));
  return block;
}

/// What mlx5dv.h makes of the same.
class Expected {
 public:
  Expected(const WqeHead& head, std::uint8_t opcode, std::uint8_t num_segments) {
    mlx5dv_set_ctrl_seg(at<mlx5_wqe_ctrl_seg>(0), static_cast<std::uint16_t>(head.position), opcode,
                        0, head.qpn, head.completion ? MLX5_WQE_CTRL_CQ_UPDATE : 0, num_segments, 0,
                        0);
  }
  Expected& remote(const WqeRemote& to) {
    auto* segment = at<mlx5_wqe_raddr_seg>(1);
    segment->raddr = htobe64(to.address);
    segment->rkey = htobe32(to.rkey);
    return *this;
  }
  Expected& data(int where, const WqeLocal& from) {
    mlx5dv_set_data_seg(at<mlx5_wqe_data_seg>(where), from.bytes, from.lkey, from.address);
    return *this;
  }
  Expected& held(const void* payload, std::uint32_t bytes) {
    auto* segment = at<mlx5_wqe_inl_data_seg>(2);
    segment->byte_count = htobe32(bytes | MLX5_INLINE_SEG);
    std::memcpy(segment + 1, payload, bytes);
    return *this;
  }
  Expected& atomic(std::uint64_t add) {
    at<mlx5_wqe_atomic_seg>(2)->swap_add = htobe64(add);
    return *this;
  }
  const Block& block() const { return block_; }

 private:
  template <class Segment>
  Segment* at(int index) {
    return reinterpret_cast<Segment*>(block_.data() + index * 16);
  }
  alignas(64) Block block_ = {};
};

/// Values whose every byte is another one, and positions beyond 16 bits.
struct Drawn {
  explicit Drawn(std::mt19937_64& random)
      : head{.position = random(),
             .qpn = static_cast<std::uint32_t>(random()) & 0xffffffU,
             .completion = random() % 2 == 0},
        to{.address = random(), .rkey = static_cast<std::uint32_t>(random())},
        from{.address = random(),
             .bytes = static_cast<std::uint32_t>(random()) & 0x7fffffffU,
             .lkey = static_cast<std::uint32_t>(random())},
        value(random()) {}
  WqeHead head;
  WqeRemote to;
  WqeLocal from;
  std::uint64_t value;
};

constexpr int kDraws = 1000;

TEST(Wqe, writes_are_those_of_mlx5dv) {
  std::mt19937_64 random(1);
  for (int i = 0; i < kDraws; ++i) {
    const Drawn d(random);
    ASSERT_EQ(bytes_of(encode_write(d.head, d.to, d.from)),
              Expected(d.head, MLX5_OPCODE_RDMA_WRITE, 3).remote(d.to).data(2, d.from).block());
  }
}

TEST(Wqe, inline_writes_of_all_sizes_are_those_of_mlx5dv) {
  std::mt19937_64 random(2);
  for (int i = 0; i < kDraws; ++i) {
    const Drawn d(random);
    const auto low = static_cast<std::uint32_t>(d.value);
    const auto write = static_cast<std::uint8_t>(MLX5_OPCODE_RDMA_WRITE);
    ASSERT_EQ(bytes_of(encode_inline(d.head, d.to, low)),
              Expected(d.head, write, 3).remote(d.to).held(&low, 4).block());
    ASSERT_EQ(bytes_of(encode_inline(d.head, d.to, d.value)),
              Expected(d.head, write, 3).remote(d.to).held(&d.value, 8).block());
    InlineWords words;
    const auto bytes = static_cast<std::uint32_t>(4 + random() % 7 * 4);
    for (std::uint32_t w = 0; w < bytes / 4; ++w)
      words.word[w] = static_cast<std::uint32_t>(random());
    const auto segments = static_cast<std::uint8_t>(2 + (4 + bytes + 15) / 16);
    ASSERT_EQ(bytes_of(encode_inline(d.head, d.to, words, bytes)),
              Expected(d.head, write, segments).remote(d.to).held(words.word, bytes).block());
  }
}

TEST(Wqe, atomics_and_no_ops_are_those_of_mlx5dv) {
  std::mt19937_64 random(3);
  for (int i = 0; i < kDraws; ++i) {
    const Drawn d(random);
    ASSERT_EQ(bytes_of(encode_fetch_add(d.head, d.to, d.value, d.from)),
              Expected(d.head, MLX5_OPCODE_ATOMIC_FA, 4)
                  .remote(d.to)
                  .atomic(d.value)
                  .data(3, d.from)
                  .block());
    ASSERT_EQ(bytes_of(encode_nop(d.head)), Expected(d.head, MLX5_OPCODE_NOP, 1).block());
  }
}

TEST(Wqe, doorbells_carry_16_bits_of_the_position) {
  EXPECT_EQ(doorbell_record(0x54321), htobe32(0x4321));
  EXPECT_EQ(doorbell_record(0x10000), 0U);
  const std::uint64_t value = doorbell_value(0x10000, 0xabcdef);
  std::array<std::uint32_t, 2> words = {};
  std::memcpy(words.data(), &value, sizeof value);
  EXPECT_EQ(words[0], htobe32(0xffffU << 8));
  EXPECT_EQ(words[1], htobe32(0xabcdefU << 8));
}

mlx5_cqe64 completion(std::uint8_t opcode, bool owner, std::uint16_t counter) {
  mlx5_cqe64 entry = {};
  entry.wqe_counter = htobe16(counter);
  entry.op_own = static_cast<std::uint8_t>(opcode << 4 | (owner ? 1 : 0));
  return entry;
}
std::uint64_t word_at(const void* entry, std::uint32_t offset) {
  std::uint64_t word = 0;
  std::memcpy(&word, static_cast<const std::byte*>(entry) + offset, sizeof word);
  return word;
}
CqeTail tail_of(const mlx5_cqe64& entry) { return {word_at(&entry, kCqeTailBytes)}; }

TEST(Cqe, an_entry_is_there_in_its_own_lap_alone) {
  for (std::uint64_t consumed = 0; consumed < 64; ++consumed) {
    const bool odd_lap = (consumed >> 3 & 1) != 0;
    EXPECT_TRUE(tail_of(completion(MLX5_CQE_REQ, odd_lap, 5)).is_there(consumed, 3));
    EXPECT_FALSE(tail_of(completion(MLX5_CQE_REQ, !odd_lap, 5)).is_there(consumed, 3));
    EXPECT_FALSE(tail_of(completion(MLX5_CQE_INVALID, odd_lap, 5)).is_there(consumed, 3));
  }
}

TEST(Cqe, says_what_completed_and_what_failed) {
  const CqeTail good = tail_of(completion(MLX5_CQE_REQ, true, 0x1234));
  EXPECT_EQ(good.wqe_counter(), 0x1234);
  EXPECT_FALSE(good.is_error());
  mlx5_err_cqe error = {};
  error.syndrome = MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR;
  error.vendor_err_synd = 0x88;
  error.s_wqe_opcode_qpn = htobe32(static_cast<std::uint32_t>(MLX5_OPCODE_ATOMIC_FA) << 24 | 7);
  error.wqe_counter = htobe16(9);
  error.op_own = MLX5_CQE_REQ_ERR << 4;
  const CqeTail bad{word_at(&error, kCqeTailBytes)};
  EXPECT_TRUE(bad.is_error());
  EXPECT_EQ(bad.wqe_counter(), 9);
  EXPECT_EQ(bad.wqe_opcode(), static_cast<std::uint32_t>(WqeOpcode::kFetchAdd));
  const CqeSyndrome said(word_at(&error, kCqeSyndromeBytes));
  EXPECT_EQ(said.syndrome, static_cast<std::uint32_t>(MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR));
  EXPECT_EQ(said.vendor, 0x88U);
}

TEST(Cqe, counts_go_on_past_16_bits) {
  for (const std::uint64_t earlier : {0ULL, 65'530ULL, 65'536ULL, 0x1234'fff0ULL}) {
    for (const std::uint64_t ahead : {0ULL, 1ULL, 64ULL, 40'000ULL}) {
      EXPECT_EQ(extend(earlier, static_cast<std::uint16_t>(earlier + ahead)), earlier + ahead);
    }
  }
}

}  // namespace
}  // namespace llep
