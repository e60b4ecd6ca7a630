// SPDX-License-Identifier: MIT
#include "tests/softmlx5/device.hpp"

#include <algorithm>
#include <cstring>

#include "tests/softmlx5/options.hpp"

namespace softmlx5 {

namespace {

constexpr std::uint32_t kMellanox = 0x02c9;
constexpr std::uint8_t kWidth4x = 2;
constexpr std::uint8_t kSpeedNdr = 128;
constexpr std::uint8_t kLinkUp = 5;

}  // namespace

std::string device_name(int device) { return "mlx5_" + std::to_string(device); }

std::array<std::uint8_t, 8> guid_of(int device) {
  return {0x02, 0x50, 0x4d, 0xff, 0xfe, 0x00, 0x00, static_cast<std::uint8_t>(device + 1)};
}

int num_gids() { return options().ethernet ? 4 : 1; }

/// RoCE: version 1 and 2 of the link-local address, then of 127.0.0.(device + 1).
Gid gid_of(int device, int index) {
  Gid gid = {};
  if (index < 2) {
    gid[0] = 0xfe;
    gid[1] = 0x80;
    const auto guid = guid_of(device);
    std::copy(guid.begin(), guid.end(), gid.begin() + 8);
    return gid;
  }
  gid[10] = gid[11] = 0xff;
  gid[12] = 127;
  gid[15] = static_cast<std::uint8_t>(device + 1);
  return gid;
}

bool is_roce_v2(int gid_index) { return gid_index % 2 == 1; }

std::uint16_t lid_of(int device) {
  return static_cast<std::uint16_t>(options().ethernet ? 0 : device + 1);
}

int device_at(const ib_uverbs_qp_dest& address) {
  for (int device = 0; device < options().num_devices; ++device) {
    if (!options().ethernet) {
      if (address.dlid == lid_of(device)) return device;
      continue;
    }
    for (int index = 0; index < num_gids(); ++index) {
      const Gid gid = gid_of(device, index);
      if (address.is_global != 0 && std::equal(gid.begin(), gid.end(), address.dgid)) {
        return device;
      }
    }
  }
  return -1;
}

ib_uverbs_query_device_resp describe_device(int device) {
  ib_uverbs_query_device_resp r = {};
  const auto guid = guid_of(device);
  std::memcpy(&r.node_guid, guid.data(), guid.size());
  r.sys_image_guid = r.node_guid;
  r.fw_ver = 5;  // "0.0.0005": no real adapter's
  r.max_mr_size = ~std::uint64_t{0};
  r.page_size_cap = ~std::uint64_t{0xfff};
  r.vendor_id = kMellanox;
  r.vendor_part_id = kVendorPart;
  r.max_qp = kMaxQueuePairs;
  r.max_qp_wr = kMaxQueueEntries;
  r.device_cap_flags = IBV_DEVICE_SHUTDOWN_PORT | IBV_DEVICE_PORT_ACTIVE_EVENT |
                       IBV_DEVICE_RC_RNR_NAK_GEN | IBV_DEVICE_SYS_IMAGE_GUID;
  r.max_sge = 30;
  r.max_sge_rd = 30;
  r.max_cq = kMaxCompletionQueues;
  r.max_cqe = (1 << 22) - 1;
  r.max_mr = kMaxMemoryRegions;
  r.max_pd = 1 << 16;
  r.max_qp_rd_atom = 16;
  r.max_qp_init_rd_atom = 16;
  r.max_res_rd_atom = 16 * kMaxQueuePairs;
  r.atomic_cap = IBV_ATOMIC_HCA;
  r.max_ah = 1 << 20;
  r.max_pkeys = 1;
  r.local_ca_ack_delay = 16;
  r.phys_port_cnt = 1;
  return r;
}

ib_uverbs_query_port_resp describe_port(int device) {
  const bool ethernet = options().ethernet;
  ib_uverbs_query_port_resp r = {};
  r.max_msg_sz = kMaxMessageBytes;
  r.gid_tbl_len = num_gids();
  r.pkey_tbl_len = 1;
  r.lid = lid_of(device);
  r.sm_lid = 1;
  r.state = IBV_PORT_ACTIVE;
  r.max_mtu = r.active_mtu = IBV_MTU_4096;
  r.max_vl_num = 4;
  r.active_width = kWidth4x;
  r.active_speed = kSpeedNdr;
  r.phys_state = kLinkUp;
  r.link_layer = ethernet ? IBV_LINK_LAYER_ETHERNET : IBV_LINK_LAYER_INFINIBAND;
  r.subnet_timeout = 18;
  r.port_cap_flags = ethernet ? IBV_PORT_CM_SUP | IBV_PORT_IP_BASED_GIDS : 0x2651e848;
  return r;
}

}  // namespace softmlx5
