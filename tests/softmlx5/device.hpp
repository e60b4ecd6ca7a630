// SPDX-License-Identifier: MIT
#pragma once

#include <infiniband/verbs.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>

#include <array>
#include <cstdint>
#include <string>

/// What the devices mlx5_0, mlx5_1 ... are: one port each, all on one network.
namespace softmlx5 {

inline constexpr int kMaxDevices = 8;
inline constexpr int kMaxQueuePairs = 1024;
inline constexpr int kMaxCompletionQueues = 1024;
inline constexpr int kMaxMemoryRegions = 4096;
inline constexpr std::uint32_t kMaxMessageBytes = 1U << 30;
inline constexpr std::uint32_t kMaxQueueEntries = 32768;
inline constexpr int kVendorPart = 4129;  // ConnectX-7

using Gid = std::array<std::uint8_t, 16>;

std::string device_name(int device);
std::array<std::uint8_t, 8> guid_of(int device);
int num_gids();
Gid gid_of(int device, int index);
bool is_roce_v2(int gid_index);
std::uint16_t lid_of(int device);
/// The device that an address leads to; -1: none.
int device_at(const ib_uverbs_qp_dest& address);

ib_uverbs_query_device_resp describe_device(int device);
ib_uverbs_query_port_resp describe_port(int device);

}  // namespace softmlx5
