// SPDX-License-Identifier: MIT
// Entries and doorbells written by hand, right and wrong. Runs with the twin preloaded.
#include <endian.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/softmlx5/test_pair.hpp"

namespace softmlx5_test {
namespace {

constexpr std::size_t kBytes = 1U << 16;

class Entries : public ::testing::Test {
 protected:
  Entry good() const {
    return {.local = here_.address(),
            .lkey = here_.key(),
            .remote = there_.address(),
            .rkey = there_.key()};
  }
  /// A write on another queue pair has come all the way: whatever rang before it was served.
  void let_the_adapter_work() {
    Entry entry = good();
    entry.remote = there_.address(kBytes - 8);
    other_.post(entry);
    ASSERT_EQ(kind_of(other_.wait()), MLX5_CQE_REQ);
  }
  /// The entry ends in this error, with these words on stderr; the next one is flushed.
  void expect_refused(const Entry& entry, std::uint8_t syndrome, const std::string& words) {
    ::testing::internal::CaptureStderr();
    raw_.write(entry);
    raw_.write(good());
    raw_.publish();
    raw_.ring();
    const mlx5_cqe64 done = raw_.wait();
    const mlx5_cqe64 next = raw_.wait();
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(kind_of(done), MLX5_CQE_REQ_ERR);
    EXPECT_EQ(syndrome_of(done), syndrome);
    EXPECT_EQ(be16toh(done.wqe_counter), 0);
    EXPECT_EQ(syndrome_of(next), MLX5_CQE_SYNDROME_WR_FLUSH_ERR);
    EXPECT_NE(said.find(words), std::string::npos) << said;
    EXPECT_EQ(there_.word(0), 0U);
  }

  Device device_;
  Memory here_{device_.pd.get(), kBytes};
  Memory there_{device_.pd.get(), kBytes};
  Pair pair_{device_};
  Pair other_pair_{device_};
  RawQueue raw_{pair_.qp.get(), pair_.cq.get()};
  RawQueue other_{other_pair_.qp.get(), other_pair_.cq.get()};
};

TEST_F(Entries, many_rounds) {
  const std::uint32_t rounds = 5 * raw_.queue().sq.wqe_cnt;
  for (std::uint32_t i = 0; i < rounds; ++i) {
    here_.set_word(0, i + 1);
    raw_.post(good());
    const mlx5_cqe64 done = raw_.wait();
    ASSERT_EQ(kind_of(done), MLX5_CQE_REQ);
    ASSERT_EQ(be16toh(done.wqe_counter), i & 0xffff);
    ASSERT_EQ(there_.word(0), i + 1);
  }
}

TEST_F(Entries, inline_and_atomic) {
  Entry entry = good();
  entry.inline_word = 0x1122334455667788;
  raw_.post(entry);
  EXPECT_EQ(kind_of(raw_.wait()), MLX5_CQE_REQ);
  EXPECT_EQ(there_.word(0), 0x1122334455667788U);
  entry = good();
  entry.opcode = MLX5_OPCODE_ATOMIC_FA;
  raw_.post(entry);
  EXPECT_EQ(kind_of(raw_.wait()), MLX5_CQE_REQ);
  EXPECT_EQ(there_.word(0), 0x1122334455667789U);
  EXPECT_EQ(here_.word(0), 0x1122334455667788U);
}

TEST_F(Entries, nothing_moves_before_the_doorbell) {
  here_.set_word(0, 5);
  let_the_adapter_work();
  raw_.write(good());
  raw_.publish();
  let_the_adapter_work();
  EXPECT_EQ(there_.word(0), 0U);
  EXPECT_FALSE(raw_.poll());
  raw_.ring();
  EXPECT_EQ(kind_of(raw_.wait()), MLX5_CQE_REQ);
  EXPECT_EQ(there_.word(0), 5U);
}

TEST_F(Entries, the_receive_record_does_not_count) {
  here_.set_word(0, 5);
  raw_.write(good());
  raw_.queue().dbrec[MLX5_RCV_DBR] = htobe32(1);
  raw_.ring();
  let_the_adapter_work();
  EXPECT_EQ(there_.word(0), 0U);
  EXPECT_FALSE(raw_.poll());
}

/// What the record says when the doorbell rings is what counts.
TEST_F(Entries, a_record_behind_its_doorbell_waits_for_the_next) {
  here_.set_word(0, 5);
  raw_.write(good());
  raw_.ring();
  let_the_adapter_work();
  raw_.publish();
  let_the_adapter_work();
  EXPECT_EQ(there_.word(0), 0U);
  raw_.ring();
  EXPECT_EQ(kind_of(raw_.wait()), MLX5_CQE_REQ);
}

TEST_F(Entries, too_short) {
  Entry entry = good();
  entry.ds = 1;
  expect_refused(entry, MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR, "entry 0: ds 1 leaves no room");
}

TEST_F(Entries, no_segments) {
  Entry entry = good();
  entry.ds = 0;
  expect_refused(entry, MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR, "entry 0: ds 0 is none of");
}

TEST_F(Entries, unknown_opcode) {
  Entry entry = good();
  entry.opcode = 0x7e;
  expect_refused(entry, MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR, "entry 0: unknown opcode 0x7e");
}

TEST_F(Entries, wrong_index) {
  Entry entry = good();
  entry.index = 3;
  expect_refused(entry, MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR, "says index 3");
}

TEST_F(Entries, of_another_queue_pair) {
  Entry entry = good();
  entry.qpn = pair_.far.get()->qp_num;
  expect_refused(entry, MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR, "its control segment says qp");
}

TEST_F(Entries, bad_lkey) {
  Entry entry = good();
  entry.lkey ^= 1;
  expect_refused(entry, MLX5_CQE_SYNDROME_LOCAL_PROT_ERR, "no region has this key");
}

TEST_F(Entries, local_memory_out_of_bounds) {
  Entry entry = good();
  entry.local = here_.address(kBytes - 4);
  expect_refused(entry, MLX5_CQE_SYNDROME_LOCAL_PROT_ERR, "not within the region");
}

TEST_F(Entries, more_inline_than_the_entry_holds) {
  Entry entry = good();
  entry.inline_word = 1;
  entry.bytes = 40;
  expect_refused(entry, MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR, "40 inline bytes in an entry of ds 3");
}

TEST_F(Entries, atomic_of_the_wrong_length) {
  Entry entry = good();
  entry.opcode = MLX5_OPCODE_ATOMIC_FA;
  entry.bytes = 4;
  expect_refused(entry, MLX5_CQE_SYNDROME_LOCAL_LENGTH_ERR, "an atomic of 4 bytes");
}

TEST_F(Entries, bad_rkey) {
  Entry entry = good();
  entry.rkey += 1;
  expect_refused(entry, MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR, "no region has this key");
}

TEST_F(Entries, remote_memory_out_of_bounds) {
  Entry entry = good();
  entry.remote = there_.address(kBytes - 4);
  expect_refused(entry, MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR, "not within the region");
}

TEST_F(Entries, memory_that_may_not_be_written) {
  const Memory guarded(device_.pd.get(), 64, IBV_ACCESS_LOCAL_WRITE);
  Entry entry = good();
  entry.remote = guarded.address();
  entry.rkey = guarded.key();
  expect_refused(entry, MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR, "access rights");
}

TEST_F(Entries, memory_of_another_domain) {
  const llep::UniquePd domain(ibv_alloc_pd(device_.context.get()));
  ASSERT_TRUE(domain);
  const Memory foreign(domain.get(), 64);
  Entry entry = good();
  entry.remote = foreign.address();
  entry.rkey = foreign.key();
  expect_refused(entry, MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR, "another protection domain");
}

TEST_F(Entries, misaligned_atomic) {
  Entry entry = good();
  entry.opcode = MLX5_OPCODE_ATOMIC_FA;
  entry.remote = there_.address(4);
  expect_refused(entry, MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR, "alignment");
}

TEST_F(Entries, send_queue_overrun) {
  ::testing::internal::CaptureStderr();
  for (std::uint32_t i = 0; i <= raw_.queue().sq.wqe_cnt; ++i) raw_.write(good());
  raw_.publish();
  raw_.ring();
  const mlx5_cqe64 done = raw_.wait();
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(syndrome_of(done), MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR);
  EXPECT_NE(said.find("send queue overrun"), std::string::npos) << said;
}

/// Completions that nobody takes: none is overwritten, and the queue pair stops.
TEST_F(Entries, completion_queue_overrun) {
  Pair small(device_, {.cq_entries = 15});
  RawQueue raw(small.qp.get(), small.cq.get());
  ::testing::internal::CaptureStderr();
  const std::uint32_t room = raw.completions().cqe_cnt;
  for (std::uint32_t i = 0; i < room + 4; ++i) raw.write(good());
  raw.publish();
  raw.ring();
  ibv_qp_attr attributes = {};
  ibv_qp_init_attr created = {};
  do {
    let_the_adapter_work();
    ASSERT_EQ(ibv_query_qp(small.qp.get(), &attributes, IBV_QP_STATE, &created), 0);
  } while (attributes.qp_state != IBV_QPS_ERR);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("overrun"), std::string::npos) << said;
  for (std::uint32_t i = 0; i < room; ++i) {
    const auto done = raw.poll();
    ASSERT_TRUE(done);
    EXPECT_EQ(be16toh(done->wqe_counter), i);
  }
}

}  // namespace
}  // namespace softmlx5_test
