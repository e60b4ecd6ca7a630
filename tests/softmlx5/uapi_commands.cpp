// SPDX-License-Identifier: MIT
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/mlx5-abi.h>

#include <cerrno>

#include "tests/softmlx5/log.hpp"
#include "tests/softmlx5/options.hpp"
#include "tests/softmlx5/uapi.hpp"

namespace softmlx5 {

namespace {

constexpr std::uint32_t kExtended = IB_USER_VERBS_CMD_FLAG_EXTENDED;

int query_device(DeviceFile& file, Attributes& call) {
  // The library's question whether this form of call is there at all; this is the kernel's yes.
  if (!call.has(UVERBS_ATTR_CORE_OUT)) return ENOSPC;
  call.put(UVERBS_ATTR_CORE_OUT, describe_device(file.device()));
  return 0;
}

int query_device_extended(DeviceFile& file, Attributes& call) {
  ib_uverbs_ex_query_device_resp r = {};
  r.base = describe_device(file.device());
  r.timestamp_mask = ~std::uint64_t{0};
  r.hca_core_clock = 1000000;  // kHz: the time stamps are nanoseconds
  r.device_cap_flags_ex = r.base.device_cap_flags;
  call.put_counted(UVERBS_ATTR_CORE_OUT, r);
  call.put_counted(UVERBS_ATTR_UHW_OUT, mlx5_ib_query_device_resp{});
  return 0;
}

int allocate_pd(DeviceFile& /*file*/, Attributes& call) {
  const std::uint32_t pd = ++adapter().num_pds;
  ib_uverbs_alloc_pd_resp r = {};
  r.pd_handle = pd;
  call.put_bytes(UVERBS_ATTR_CORE_OUT, &r, sizeof r.pd_handle);
  mlx5_ib_alloc_pd_resp driver = {};
  driver.pdn = pd;
  call.put(UVERBS_ATTR_UHW_OUT, driver);
  return 0;
}

int create_channel(DeviceFile& /*file*/, Attributes& call) {
  const int descriptor = adapter().channels.open();
  if (descriptor < 0) return errno;
  ib_uverbs_create_comp_channel_resp r = {};
  r.fd = static_cast<std::uint32_t>(descriptor);
  call.put(UVERBS_ATTR_CORE_OUT, r);
  return 0;
}

int modify(const ib_uverbs_modify_qp& change) {
  QueuePair* qp = adapter().qps.find(change.qp_handle);
  return qp != nullptr ? qp->modify(change) : EINVAL;
}

int modify_qp(DeviceFile& /*file*/, Attributes& call) {
  return modify(call.get<ib_uverbs_modify_qp>(UVERBS_ATTR_CORE_IN));
}

int modify_qp_extended(DeviceFile& /*file*/, Attributes& call) {
  const int error = modify(call.get<ib_uverbs_ex_modify_qp>(UVERBS_ATTR_CORE_IN).base);
  if (error != 0) return error;
  call.put_counted(UVERBS_ATTR_CORE_OUT, ib_uverbs_ex_modify_qp_resp{});
  call.put_counted(UVERBS_ATTR_UHW_OUT, mlx5_ib_modify_qp_resp{});
  return 0;
}

int query_qp(DeviceFile& /*file*/, Attributes& call) {
  const auto request = call.get<ib_uverbs_query_qp>(UVERBS_ATTR_CORE_IN);
  const QueuePair* qp = adapter().qps.find(request.qp_handle);
  if (qp == nullptr) return EINVAL;
  call.put(UVERBS_ATTR_CORE_OUT, qp->query());
  return 0;
}

/// libmlx5 makes one to learn the Ethernet address behind a GID.
int create_address_handle(DeviceFile& /*file*/, Attributes& call) {
  ib_uverbs_create_ah_resp r = {};
  r.ah_handle = 1;
  call.put(UVERBS_ATTR_CORE_OUT, r);
  mlx5_ib_create_ah_resp driver = {};
  driver.dmac[0] = 2;
  driver.dmac[5] = 1;
  call.put_counted(UVERBS_ATTR_UHW_OUT, driver);
  return 0;
}

struct Command {
  std::uint32_t number;
  int (*function)(DeviceFile&, Attributes&);
};

constexpr Command kCommands[] = {
    {IB_USER_VERBS_CMD_QUERY_DEVICE, query_device},
    {kExtended | IB_USER_VERBS_CMD_QUERY_DEVICE, query_device_extended},
    {IB_USER_VERBS_CMD_ALLOC_PD, allocate_pd},
    {IB_USER_VERBS_CMD_REG_MR, register_memory},
    {IB_USER_VERBS_CMD_CREATE_COMP_CHANNEL, create_channel},
    {IB_USER_VERBS_CMD_MODIFY_QP, modify_qp},
    {kExtended | IB_USER_VERBS_CMD_MODIFY_QP, modify_qp_extended},
    {IB_USER_VERBS_CMD_QUERY_QP, query_qp},
    {IB_USER_VERBS_CMD_CREATE_AH, create_address_handle},
};

}  // namespace

int invoke_write(DeviceFile& file, Attributes& call) {
  const auto number = call.get<std::uint32_t>(UVERBS_ATTR_WRITE_CMD);
  for (const Command& known : kCommands) {
    if (known.number != number) continue;
    const int error = known.function(file, call);
    if (options().trace) log_line("uverbs command 0x{:x}: {}", number, error);
    return error;
  }
  if (options().trace) log_line("uverbs command 0x{:x}: unknown", number);
  return EOPNOTSUPP;
}

}  // namespace softmlx5
