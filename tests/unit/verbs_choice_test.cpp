// SPDX-License-Identifier: MIT
#include <arpa/inet.h>

#include <gtest/gtest.h>

#include "common/error.hpp"
#include "transport/verbs/completion.hpp"
#include "transport/verbs/mesh.hpp"

namespace llep {
namespace {

ibv_gid_entry gid(unsigned index, ibv_gid_type type, const char* address) {
  ibv_gid_entry entry = {};
  entry.gid_index = index;
  entry.port_num = 1;
  entry.gid_type = type;
  EXPECT_EQ(inet_pton(AF_INET6, address, entry.gid.raw), 1) << address;
  return entry;
}

constexpr auto kV1 = IBV_GID_TYPE_ROCE_V1;
constexpr auto kV2 = IBV_GID_TYPE_ROCE_V2;

/// The message of an Error(kUnavailable).
template <class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUnavailable);
    return error.what();
  }
  return "nothing was thrown";
}

TEST(ChooseGid, prefers_rocev2_of_an_ipv4_address) {
  const std::vector<ibv_gid_entry> gids = {
      gid(0, kV1, "fe80::1"), gid(1, kV2, "fe80::1"),         gid(2, kV1, "::ffff:10.1.0.7"),
      gid(3, kV2, "fd00::7"), gid(4, kV2, "::ffff:10.1.0.7"), gid(5, kV2, "::ffff:10.2.0.7")};
  const std::span<const ibv_gid_entry> all(gids);
  EXPECT_EQ(choose_gid(all, true, -1).gid_index, 4U);
  EXPECT_EQ(choose_gid(all.first(4), true, -1).gid_index, 3U);
  EXPECT_EQ(choose_gid(all.first(3), true, -1).gid_index, 1U);
  EXPECT_EQ(to_string(gids[4]), "GID 4 (RoCEv2 10.1.0.7)");
}

TEST(ChooseGid, takes_what_is_asked_for_or_says_what_there_is) {
  const std::vector<ibv_gid_entry> gids = {gid(0, kV1, "fe80::1"), gid(2, kV1, "::ffff:10.1.0.7")};
  EXPECT_EQ(choose_gid(gids, true, 2).gid_index, 2U);
  EXPECT_EQ(refusal([&] { choose_gid(gids, true, 1); }),
            "verbs: choosing a GID: index 1 is empty; there are: GID 0 (RoCEv1 fe80::1), "
            "GID 2 (RoCEv1 10.1.0.7)");
  EXPECT_EQ(refusal([&] { choose_gid(gids, true, -1); }),
            "verbs: choosing a GID: none is of RoCEv2: give the interface an IP address, or choose "
            "one with --gid-index; there are: GID 0 (RoCEv1 fe80::1), GID 2 (RoCEv1 10.1.0.7)");
}

TEST(ChooseGid, infiniband_takes_index_0) {
  const std::vector<ibv_gid_entry> gids = {gid(0, IBV_GID_TYPE_IB, "fe80::2:c903:0:1"),
                                           gid(1, IBV_GID_TYPE_IB, "fe80::2:c903:0:2")};
  EXPECT_EQ(choose_gid(gids, false, -1).gid_index, 0U);
  EXPECT_EQ(refusal([&] { choose_gid({}, false, -1); }),
            "verbs: choosing a GID: index 0 is empty: is a subnet manager running?; there are: "
            "none");
}

ibv_device_attr limits() {
  ibv_device_attr limits = {};
  limits.max_qp = 256;
  limits.max_qp_wr = 4096;
  limits.max_cqe = 1000;
  limits.max_mr_size = std::uint64_t{1} << 40;
  limits.atomic_cap = IBV_ATOMIC_HCA;
  return limits;
}

TEST(CheckLimits, accepts_what_just_fits) {
  EXPECT_NO_THROW(check_limits("mlx5_0", limits(),
                               {.num_qps = 256,
                                .send_depth = 4096,
                                .cq_entries = 1000,
                                .bytes = std::uint64_t{1} << 40,
                                .atomics = true}));
}

TEST(CheckLimits, refuses_with_the_numbers) {
  const auto refused = [](const MeshNeeds& needs) {
    return refusal([&] { check_limits("mlx5_0", limits(), needs); });
  };
  EXPECT_EQ(
      refused({.num_qps = 1008}),
      "verbs: mlx5_0: 1008 queue pairs (max_qp) are needed, the device has at most 256; fewer "
      "--qps-per-peer, or fewer ranks on this device");
  EXPECT_EQ(refused({.send_depth = 8192}),
            "verbs: mlx5_0: 8192 work requests per queue pair (max_qp_wr) are needed, the device "
            "has at most 4096; a smaller --send-depth");
  EXPECT_EQ(refused({.cq_entries = 1001}),
            "verbs: mlx5_0: 1001 entries per completion queue (max_cqe) are needed, the device has "
            "at most 1000; more --proxy-threads, fewer --qps-per-peer, or a smaller --send-depth");
  EXPECT_EQ(refused({.bytes = (std::uint64_t{1} << 40) + 1}),
            "verbs: mlx5_0: 1099511627777 bytes in one memory region (max_mr_size) are needed, the "
            "device has at most 1099511627776; smaller shapes");
}

TEST(CheckLimits, a_device_without_atomics_is_found_out_before_use) {
  ibv_device_attr without = limits();
  without.atomic_cap = IBV_ATOMIC_NONE;
  EXPECT_NO_THROW(check_limits("mlx5_0", without, {}));
  EXPECT_EQ(refusal([&] { check_limits("mlx5_0", without, {.atomics = true}); }),
            "verbs: mlx5_0: signals shall be atomics, the device has none (atomic_cap 0); --signal "
            "write, without --relaxed-ordering on");
}

TEST(RegisterMemory, what_goes_through_host_memory_is_named_with_its_transport) {
  constexpr const char* kRemedy =
      "; --transport fifo or hybrid-fifo with --mr-mode host goes through host memory";
  const auto refused = [](MrMode mode) {
    return refusal([=] { register_memory(nullptr, {.on_device = true}, {.mr_mode = mode}); });
  };
  EXPECT_EQ(refused(MrMode::kHost),
            std::string("verbs: registering 0 bytes of memory: --mr-mode host, but it is device "
                        "memory") +
                kRemedy);
  EXPECT_TRUE(refused(MrMode::kDmabuf).ends_with(kRemedy)) << refused(MrMode::kDmabuf);
}

TEST(DescribeFailure, says_status_syndrome_and_what_to_look_at) {
  ibv_wc completion = {};
  completion.status = IBV_WC_RETRY_EXC_ERR;
  completion.vendor_err = 0x81;
  const std::string dead = describe_failure(completion);
  EXPECT_EQ(dead.find("completion status 12 (transport retry counter exceeded), vendor syndrome "
                      "0x81: the peer does not answer: is its process alive?"),
            0U)
      << dead;
  for (const char* word : {"cable", "--gid-index", "MTU", "firewall"}) {
    EXPECT_NE(dead.find(word), std::string::npos) << word;
  }
  completion.status = IBV_WC_REM_ACCESS_ERR;
  EXPECT_NE(describe_failure(completion).find("completion status 10 (remote access error)"),
            std::string::npos);
  completion.status = IBV_WC_RNR_RETRY_EXC_ERR;
  EXPECT_NE(describe_failure(completion).find("completion status 13 (RNR retry counter exceeded)"),
            std::string::npos);
}

}  // namespace
}  // namespace llep
