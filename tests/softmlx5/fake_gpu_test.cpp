// SPDX-License-Identifier: MIT
// The twin and GPU memory, without a GPU: fake_cuda in libcuda's place. Runs with the twin
// preloaded.
#include <endian.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "tests/softmlx5/fake_cuda.hpp"
#include "tests/softmlx5/test_pair.hpp"

namespace softmlx5_test {
namespace {

constexpr std::size_t kBytes = 1U << 20;

class FakeGpuMemory {
 public:
  explicit FakeGpuMemory(ibv_pd* pd, bool dmabuf = false)
      : memory_(fake_cuda::allocate(kBytes)), seen_(fake_cuda::seen_by_kernels(memory_)) {
    mr_ = llep::UniqueMr(dmabuf ? ibv_reg_dmabuf_mr(pd, 0, kBytes, address(), 0, kAllAccess)
                                : ibv_reg_mr(pd, memory_, kBytes, kAllAccess));
    check(static_cast<bool>(mr_), "registering GPU memory");
  }
  std::uint64_t address(std::size_t offset = 0) const {
    return reinterpret_cast<std::uint64_t>(memory_ + offset);
  }
  std::uint32_t key() const { return mr_.get()->lkey; }
  /// As a kernel sees it.
  std::byte* seen() const { return seen_; }
  std::uint64_t word(std::size_t offset) const {
    return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(seen_ + offset)).load();
  }
  void set_word(std::size_t offset, std::uint64_t value) const {
    std::atomic_ref(*reinterpret_cast<std::uint64_t*>(seen_ + offset)).store(value);
  }

 private:
  std::byte* memory_;
  std::byte* seen_;
  llep::UniqueMr mr_;
};

class FakeGpu : public ::testing::Test {
 protected:
  Entry entry(std::uint32_t bytes, std::size_t from = 0, std::size_t to = 0) const {
    return {.local = here_.address(from),
            .lkey = here_.key(),
            .remote = there_.address(to),
            .rkey = there_.key(),
            .bytes = bytes};
  }
  void run(const Entry& entry) {
    raw_.post(entry);
    ASSERT_EQ(kind_of(raw_.wait()), MLX5_CQE_REQ);
  }

  Device device_;
  FakeGpuMemory here_{device_.pd.get()};
  FakeGpuMemory there_{device_.pd.get(), true};
  Memory host_{device_.pd.get(), kBytes};
  Pair pair_{device_};
  RawQueue raw_{pair_.qp.get(), pair_.cq.get()};
};

TEST_F(FakeGpu, writes_of_all_sizes_and_places) {
  for (std::size_t i = 0; i < kBytes; ++i) {
    here_.seen()[i] = host_.data()[i] = static_cast<std::byte>(i * 7 + (i >> 11));
  }
  for (const std::uint32_t bytes : {1U, 4U, 7U, 8U, 100U, 65536U, 300001U}) {
    for (const std::size_t to : {0U, 3U, 4096U}) {
      std::memset(there_.seen(), 0, kBytes);
      run(entry(bytes, 5, to));  // GPU to GPU
      EXPECT_EQ(std::memcmp(there_.seen() + to, here_.seen() + 5, bytes), 0) << bytes;
      EXPECT_EQ(there_.seen()[to + bytes], std::byte{0});
      Entry from_host = entry(bytes, 0, to);
      from_host.local = host_.address(9);
      from_host.lkey = host_.key();
      run(from_host);
      EXPECT_EQ(std::memcmp(there_.seen() + to, host_.data() + 9, bytes), 0) << bytes;
    }
  }
}

TEST_F(FakeGpu, reads_and_atomics) {
  there_.set_word(0, 41);
  Entry add = entry(8);
  add.opcode = MLX5_OPCODE_ATOMIC_FA;
  run(add);
  run(add);
  EXPECT_EQ(here_.word(0), 42U);
  EXPECT_EQ(there_.word(0), 43U);
  for (std::size_t i = 0; i < kBytes; ++i) there_.seen()[i] = static_cast<std::byte>(i % 251);
  Entry read = entry(200001, 64, 1);
  read.opcode = MLX5_OPCODE_RDMA_READ;
  run(read);
  EXPECT_EQ(std::memcmp(here_.seen() + 64, there_.seen() + 1, 200001), 0);
}

TEST_F(FakeGpu, sends_into_pieces_of_both_memories) {
  for (std::size_t i = 0; i < 4096; ++i) here_.seen()[i] = static_cast<std::byte>(i % 241);
  ibv_sge pieces[] = {{there_.address(1), 1000, there_.key()},
                      {host_.address(), 3000, host_.key()}};
  ibv_recv_wr receive = {};
  receive.sg_list = pieces;
  receive.num_sge = 2;
  ibv_recv_wr* bad = nullptr;
  ASSERT_EQ(ibv_post_recv(pair_.far.get(), &receive, &bad), 0);
  ibv_sge from = {here_.address(), 3500, here_.key()};
  ibv_send_wr send = {};
  send.sg_list = &from;
  send.num_sge = 1;
  send.opcode = IBV_WR_SEND;
  send.send_flags = IBV_SEND_SIGNALED;
  ibv_send_wr* bad_send = nullptr;
  ASSERT_EQ(ibv_post_send(pair_.qp.get(), &send, &bad_send), 0);
  EXPECT_EQ(wait_completion(pair_.far_cq.get()).byte_len, 3500U);
  EXPECT_EQ(std::memcmp(there_.seen() + 1, here_.seen(), 1000), 0);
  EXPECT_EQ(std::memcmp(host_.data(), here_.seen() + 1000, 2500), 0);
}

/// Whoever sees a flag sees the rows before it, and a completion means that the bytes are there.
TEST_F(FakeGpu, rows_before_their_flag) {
  constexpr std::uint32_t kRow = 14336;
  constexpr std::size_t kFlag = kBytes - 64;
  for (std::uint64_t round = 1; round <= 300; ++round) {
    for (std::size_t at = 0; at < 4 * kRow; at += 8) here_.set_word(at, round ^ at);
    for (std::size_t row = 0; row < 4; ++row) {
      Entry one = entry(kRow, row * kRow, row * kRow);
      one.signaled = false;
      raw_.write(one);
    }
    Entry flag = entry(8, 0, kFlag);
    flag.inline_word = round;
    raw_.post(flag);
    ASSERT_TRUE(wait_for([&] { return there_.word(kFlag) == round; }));
    for (std::size_t at = 0; at < 4 * kRow; at += 8) ASSERT_EQ(there_.word(at), round ^ at);
    ASSERT_EQ(kind_of(raw_.wait()), MLX5_CQE_REQ);
  }
}

TEST_F(FakeGpu, memory_that_is_no_gpus_has_no_dmabuf) {
  EXPECT_EQ(ibv_reg_dmabuf_mr(device_.pd.get(), 0, 4096, host_.address(), 0, kAllAccess), nullptr);
}

}  // namespace
}  // namespace softmlx5_test
