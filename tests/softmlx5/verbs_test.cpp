// SPDX-License-Identifier: MIT
// What the twin does through plain verbs, one process with itself. Runs with the twin preloaded.
#include <endian.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <cstring>
#include <fstream>
#include <numeric>
#include <string>

#include "tests/softmlx5/test_pair.hpp"

namespace softmlx5_test {
namespace {

constexpr std::size_t kMegabyte = 1U << 20;

struct Request {
  ibv_wr_opcode opcode = IBV_WR_RDMA_WRITE;
  std::vector<ibv_sge> local;
  std::uint64_t remote = 0;
  std::uint32_t rkey = 0;
  std::uint32_t immediate = 0;
  std::uint64_t add_or_compare = 0;
  std::uint64_t swap = 0;
  unsigned flags = IBV_SEND_SIGNALED;
  std::uint64_t id = 0;
};

class Verbs : public ::testing::Test {
 protected:
  void post(ibv_qp* qp, Request request) {
    ibv_send_wr wr = {};
    wr.wr_id = request.id;
    wr.sg_list = request.local.data();
    wr.num_sge = static_cast<int>(request.local.size());
    wr.opcode = request.opcode;
    wr.send_flags = request.flags;
    wr.imm_data = htobe32(request.immediate);
    const bool atomic = request.opcode == IBV_WR_ATOMIC_FETCH_AND_ADD ||
                        request.opcode == IBV_WR_ATOMIC_CMP_AND_SWP;
    if (atomic) {
      wr.wr.atomic = {request.remote, request.add_or_compare, request.swap, request.rkey};
    } else {
      wr.wr.rdma = {request.remote, request.rkey};
    }
    ibv_send_wr* bad = nullptr;
    ASSERT_EQ(ibv_post_send(qp, &wr, &bad), 0);
  }
  /// Posts and waits for the completion.
  ibv_wc run(const Request& request) {
    post(pair_.qp.get(), request);
    return wait_completion(pair_.cq.get());
  }
  ibv_sge here(std::size_t offset, std::size_t bytes) const {
    return {here_.address(offset), static_cast<std::uint32_t>(bytes), here_.key()};
  }
  ibv_sge there(std::size_t offset, std::size_t bytes) const {
    return {there_.address(offset), static_cast<std::uint32_t>(bytes), there_.key()};
  }
  void post_receive(std::vector<ibv_sge> pieces, std::uint64_t id = 0) {
    ibv_recv_wr wr = {};
    wr.wr_id = id;
    wr.sg_list = pieces.data();
    wr.num_sge = static_cast<int>(pieces.size());
    ibv_recv_wr* bad = nullptr;
    ASSERT_EQ(ibv_post_recv(pair_.far.get(), &wr, &bad), 0);
  }
  void fill(Memory& memory, unsigned seed) {
    for (std::size_t i = 0; i < 4 * kMegabyte; ++i) {
      memory.data()[i] = static_cast<std::byte>(i * 7 + (i >> 13) + seed);
    }
  }

  Device device_;
  Memory here_{device_.pd.get(), 4 * kMegabyte};
  Memory there_{device_.pd.get(), 4 * kMegabyte};
  Pair pair_{device_};
};

TEST_F(Verbs, tells_that_it_is_the_twin) {
  const std::string name = ibv_get_device_name(device_.context.get()->device);
  std::string board;
  std::ifstream("/sys/class/infiniband/" + name + "/board_id") >> board;
  EXPECT_EQ(board, "SOFTMLX5");
  ibv_device_attr limits = {};
  ASSERT_EQ(ibv_query_device(device_.context.get(), &limits), 0);
  EXPECT_STREQ(limits.fw_ver, "0.0.0005");
  EXPECT_EQ(limits.max_qp_wr, 32768);
  EXPECT_EQ(limits.atomic_cap, IBV_ATOMIC_HCA);
}

TEST_F(Verbs, writes_of_all_sizes) {
  fill(here_, 1);
  for (const std::size_t bytes : {1UL, 3UL, 8UL, 4097UL, 32768UL, 100001UL, 4 * kMegabyte}) {
    std::memset(there_.data(), 0, 4 * kMegabyte);
    const ibv_wc done = run(
        {.local = {here(0, bytes)}, .remote = there_.address(), .rkey = there_.key(), .id = bytes});
    ASSERT_EQ(done.status, IBV_WC_SUCCESS);
    EXPECT_EQ(done.wr_id, bytes);
    EXPECT_EQ(done.opcode, IBV_WC_RDMA_WRITE);
    ASSERT_EQ(std::memcmp(here_.data(), there_.data(), bytes), 0) << bytes;
    if (bytes < 4 * kMegabyte) {
      EXPECT_EQ(there_.data()[bytes], std::byte{0});
    }
  }
}

TEST_F(Verbs, reads_and_gathers) {
  fill(there_, 2);
  const std::size_t half = 70001;
  const ibv_wc done = run({.opcode = IBV_WR_RDMA_READ,
                           .local = {here(0, half), here(kMegabyte, half)},
                           .remote = there_.address(5),
                           .rkey = there_.key()});
  ASSERT_EQ(done.status, IBV_WC_SUCCESS);
  EXPECT_EQ(std::memcmp(here_.data(), there_.data() + 5, half), 0);
  EXPECT_EQ(std::memcmp(here_.data() + kMegabyte, there_.data() + 5 + half, half), 0);
}

TEST_F(Verbs, many_inline_writes_few_signaled) {
  for (std::uint64_t i = 1; i <= 2000; ++i) {
    here_.set_word(0, i);
    const bool last = i % 16 == 0;
    unsigned flags = IBV_SEND_INLINE;
    if (last) flags |= IBV_SEND_SIGNALED;
    post(pair_.qp.get(), {.local = {here(0, 8)},
                          .remote = there_.address(8 * (i % 16)),
                          .rkey = there_.key(),
                          .flags = flags,
                          .id = i});
    if (!last) continue;
    const ibv_wc done = wait_completion(pair_.cq.get());
    ASSERT_EQ(done.status, IBV_WC_SUCCESS);
    ASSERT_EQ(done.wr_id, i);
    for (std::uint64_t k = 0; k < 16; ++k) {
      ASSERT_EQ(there_.word(8 * ((i - k) % 16)), i - k);
    }
  }
}

TEST_F(Verbs, atomics) {
  there_.set_word(0, 41);
  const Request add{.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD,
                    .local = {here(0, 8)},
                    .remote = there_.address(),
                    .rkey = there_.key(),
                    .add_or_compare = 1};
  ibv_wc done = run(add);
  EXPECT_EQ(done.status, IBV_WC_SUCCESS);
  EXPECT_EQ(done.opcode, IBV_WC_FETCH_ADD);
  EXPECT_EQ(here_.word(0), 41U);
  EXPECT_EQ(there_.word(0), 42U);
  Request swap = add;
  swap.opcode = IBV_WR_ATOMIC_CMP_AND_SWP;
  swap.add_or_compare = 42;
  swap.swap = 7;
  for (const std::uint64_t before : {42U, 7U}) {  // the second finds 7, not 42
    done = run(swap);
    EXPECT_EQ(done.status, IBV_WC_SUCCESS);
    EXPECT_EQ(here_.word(0), before);
    EXPECT_EQ(there_.word(0), 7U);
  }
}

TEST_F(Verbs, sends_wait_for_a_receive) {
  fill(here_, 3);
  post(pair_.qp.get(),
       {.opcode = IBV_WR_SEND_WITH_IMM, .local = {here(0, 100000)}, .immediate = 0xabcd});
  // A later write on another queue pair has come all the way: the send was tried, and refused.
  const Pair other(device_);
  post(other.qp.get(), {.local = {here(0, 8)}, .remote = there_.address(), .rkey = there_.key()});
  ASSERT_EQ(wait_completion(other.cq.get()).status, IBV_WC_SUCCESS);
  ibv_wc none = {};
  EXPECT_EQ(ibv_poll_cq(pair_.far_cq.get(), 1, &none), 0);
  post_receive({there(0, 50000), there(kMegabyte, 60000)}, 77);
  const ibv_wc received = wait_completion(pair_.far_cq.get());
  ASSERT_EQ(received.status, IBV_WC_SUCCESS);
  EXPECT_EQ(received.wr_id, 77U);
  EXPECT_EQ(received.byte_len, 100000U);
  EXPECT_EQ(received.imm_data, htobe32(0xabcd));
  EXPECT_EQ(received.src_qp, pair_.qp.get()->qp_num);
  EXPECT_EQ(std::memcmp(here_.data(), there_.data(), 50000), 0);
  EXPECT_EQ(std::memcmp(here_.data() + 50000, there_.data() + kMegabyte, 50000), 0);
  EXPECT_EQ(wait_completion(pair_.cq.get()).status, IBV_WC_SUCCESS);
}

TEST_F(Verbs, writes_with_immediate) {
  here_.set_word(0, 99);
  post_receive({});
  post(pair_.qp.get(), {.opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
                        .local = {here(0, 8)},
                        .remote = there_.address(),
                        .rkey = there_.key(),
                        .immediate = 5});
  const ibv_wc received = wait_completion(pair_.far_cq.get());
  EXPECT_EQ(received.opcode, IBV_WC_RECV_RDMA_WITH_IMM);
  EXPECT_EQ(received.imm_data, htobe32(5));
  EXPECT_EQ(there_.word(0), 99U);
  EXPECT_EQ(wait_completion(pair_.cq.get()).status, IBV_WC_SUCCESS);
}

TEST_F(Verbs, message_longer_than_the_receive) {
  post_receive({there(0, 8)});
  EXPECT_EQ(run({.opcode = IBV_WR_SEND, .local = {here(0, 16)}}).status, IBV_WC_REM_INV_REQ_ERR);
  EXPECT_EQ(wait_completion(pair_.far_cq.get()).status, IBV_WC_LOC_LEN_ERR);
}

TEST_F(Verbs, errors_flush_the_rest) {
  const Request bad{.local = {here(0, 8)}, .remote = there_.address(), .rkey = 0x1234};
  post(pair_.qp.get(), bad);
  post(pair_.qp.get(), {.local = {here(0, 8)}, .remote = there_.address(), .rkey = there_.key()});
  EXPECT_EQ(wait_completion(pair_.cq.get()).status, IBV_WC_REM_ACCESS_ERR);
  EXPECT_EQ(wait_completion(pair_.cq.get()).status, IBV_WC_WR_FLUSH_ERR);
  ibv_qp_attr attributes = {};
  ibv_qp_init_attr created = {};
  ASSERT_EQ(ibv_query_qp(pair_.qp.get(), &attributes, IBV_QP_STATE, &created), 0);
  EXPECT_EQ(attributes.qp_state, IBV_QPS_ERR);
}

TEST_F(Verbs, events_of_a_completion_queue) {
  const llep::UniqueHandle<ibv_comp_channel*, ibv_destroy_comp_channel> channel(
      ibv_create_comp_channel(device_.context.get()));
  ASSERT_TRUE(channel);
  const Pair pair(device_, {.channel = channel.get()});
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(ibv_req_notify_cq(pair.cq.get(), 0), 0);
    post(pair.qp.get(), {.local = {here(0, 8)}, .remote = there_.address(), .rkey = there_.key()});
    pollfd waits{.fd = channel.get()->fd, .events = POLLIN};
    ASSERT_EQ(::poll(&waits, 1, 20000), 1);
    ibv_cq* told = nullptr;
    void* context = nullptr;
    ASSERT_EQ(ibv_get_cq_event(channel.get(), &told, &context), 0);
    EXPECT_EQ(told, pair.cq.get());
    EXPECT_EQ(wait_completion(told).status, IBV_WC_SUCCESS);
    ibv_ack_cq_events(told, 1);
  }
}

/// A queue pair of a thread domain has its own page of registers, and rings there.
TEST_F(Verbs, thread_domains) {
  ibv_td_init_attr nothing = {};
  const llep::UniqueHandle<ibv_td*, ibv_dealloc_td> td(
      ibv_alloc_td(device_.context.get(), &nothing));
  ASSERT_TRUE(td);
  ibv_parent_domain_init_attr wanted = {};
  wanted.pd = device_.pd.get();
  wanted.td = td.get();
  const llep::UniquePd domain(ibv_alloc_parent_domain(device_.context.get(), &wanted));
  ASSERT_TRUE(domain);
  const Pair mine(device_, {.pd = domain.get()});
  const auto register_of = [](const Pair& pair) {
    return reinterpret_cast<std::uintptr_t>(RawQueue(pair.qp.get(), pair.cq.get()).queue().bf.reg);
  };
  EXPECT_NE(register_of(mine), register_of(pair_));
  here_.set_word(0, 3);
  post(mine.qp.get(), {.local = {here(0, 8)}, .remote = there_.address(), .rkey = there_.key()});
  EXPECT_EQ(wait_completion(mine.cq.get()).status, IBV_WC_SUCCESS);
  EXPECT_EQ(there_.word(0), 3U);
}

}  // namespace
}  // namespace softmlx5_test
