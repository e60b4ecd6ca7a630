// SPDX-License-Identifier: MIT
#include "tests/softmlx5/uapi.hpp"

#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/mlx5-abi.h>
#include <rdma/mlx5_user_ioctl_cmds.h>

#include <cerrno>

#include "tests/softmlx5/log.hpp"
#include "tests/softmlx5/options.hpp"

namespace softmlx5 {

namespace {

int get_context(DeviceFile& /*file*/, Attributes& call) {
  if (!adapter().start()) return ENOMEM;
  const auto request = call.get<mlx5_ib_alloc_ucontext_req_v2>(UVERBS_ATTR_UHW_IN);
  if ((request.lib_caps & MLX5_LIB_CAP_DYN_UAR) == 0) return EOPNOTSUPP;
  mlx5_ib_alloc_ucontext_resp r = {};
  r.qp_tab_size = 1 << 18;
  r.bf_reg_size = 512;
  r.tot_bfregs = 0;  // registers are asked for one by one
  r.cache_line_size = 64;
  r.max_sq_desc_sz = 1024;
  r.max_rq_desc_sz = 512;
  r.max_send_wqebb = kMaxQueueEntries;
  r.max_recv_wr = kMaxQueueEntries;
  r.max_srq_recv_wr = kMaxQueueEntries - 1;
  r.num_ports = 1;
  r.cqe_version = 1;
  r.cmds_supp_uhw = MLX5_USER_CMDS_SUPP_UHW_QUERY_DEVICE | MLX5_USER_CMDS_SUPP_UHW_CREATE_AH;
  r.eth_min_inline = MLX5_USER_INLINE_MODE_NONE;
  r.log_uar_size = 12;
  r.num_uars_per_page = 1;
  call.put_counted(UVERBS_ATTR_UHW_OUT, r);
  call.put(UVERBS_ATTR_GET_CONTEXT_NUM_COMP_VECTORS, std::uint32_t{2});
  // Relaxed ordering and the like are passed on only with this.
  call.put(UVERBS_ATTR_GET_CONTEXT_CORE_SUPPORT,
           std::uint64_t{IB_UVERBS_CORE_SUPPORT_OPTIONAL_MR_ACCESS});
  return 0;
}

int query_port(DeviceFile& file, Attributes& call) {
  ib_uverbs_query_port_resp_ex r = {};
  r.legacy_resp = describe_port(file.device());
  call.put(UVERBS_ATTR_QUERY_PORT_RESP, r);
  return 0;
}

ib_uverbs_gid_entry gid_entry(int device, int index) {
  ib_uverbs_gid_entry entry = {};
  const Gid gid = gid_of(device, index);
  std::memcpy(entry.gid, gid.data(), gid.size());
  entry.gid_index = static_cast<std::uint32_t>(index);
  entry.port_num = 1;
  entry.gid_type = !options().ethernet ? IBV_GID_TYPE_IB
                   : is_roce_v2(index) ? IBV_GID_TYPE_ROCE_V2
                                       : IBV_GID_TYPE_ROCE_V1;
  entry.netdev_ifindex = options().ethernet ? 1 : 0;  // lo
  return entry;
}

int query_gid_entry(DeviceFile& file, Attributes& call) {
  const auto index = call.get<std::uint32_t>(UVERBS_ATTR_QUERY_GID_ENTRY_GID_INDEX);
  if (index >= static_cast<std::uint32_t>(num_gids())) return EINVAL;
  call.put(UVERBS_ATTR_QUERY_GID_ENTRY_RESP_ENTRY,
           gid_entry(file.device(), static_cast<int>(index)));
  return 0;
}

int query_gid_table(DeviceFile& file, Attributes& call) {
  const auto entry_bytes = call.number(UVERBS_ATTR_QUERY_GID_TABLE_ENTRY_SIZE);
  if (entry_bytes < sizeof(ib_uverbs_gid_entry)) return EOPNOTSUPP;
  const auto room = call.bytes(UVERBS_ATTR_QUERY_GID_TABLE_RESP_ENTRIES) / entry_bytes;
  const auto count = std::min(room, static_cast<std::uint64_t>(num_gids()));
  std::vector<std::byte> entries(count * entry_bytes);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto entry = gid_entry(file.device(), static_cast<int>(i));
    std::memcpy(entries.data() + i * entry_bytes, &entry, sizeof entry);
  }
  call.put_bytes(UVERBS_ATTR_QUERY_GID_TABLE_RESP_ENTRIES, entries.data(), entries.size());
  call.put(UVERBS_ATTR_QUERY_GID_TABLE_RESP_NUM_ENTRIES, count);
  return 0;
}

int allocate_async_events(DeviceFile& /*file*/, Attributes& call) {
  const int descriptor = adapter().channels.open();
  if (descriptor < 0) return errno;
  call.put_handle(UVERBS_ATTR_ASYNC_EVENT_ALLOC_FD_HANDLE, static_cast<std::uint64_t>(descriptor));
  return 0;
}

int allocate_register_page(DeviceFile& file, Attributes& call) {
  const auto page = file.allocate_page();
  if (!page) return ENOMEM;
  call.put_handle(MLX5_IB_ATTR_UAR_OBJ_ALLOC_HANDLE, *page);
  call.put(MLX5_IB_ATTR_UAR_OBJ_ALLOC_MMAP_OFFSET, DeviceFile::page_offset(*page));
  call.put(MLX5_IB_ATTR_UAR_OBJ_ALLOC_MMAP_LENGTH,
           static_cast<std::uint32_t>(DeviceFile::kPageBytes));
  call.put(MLX5_IB_ATTR_UAR_OBJ_ALLOC_PAGE_ID, *page);
  return 0;
}

int free_register_page(DeviceFile& file, Attributes& call) {
  file.free_page(call.number(MLX5_IB_ATTR_UAR_OBJ_DESTROY_HANDLE));
  return 0;
}

int nothing_to_do(DeviceFile& /*file*/, Attributes& /*call*/) { return 0; }

struct Method {
  std::uint32_t object;
  std::uint32_t method;
  int (*function)(DeviceFile&, Attributes&);
};

constexpr Method kMethods[] = {
    {UVERBS_OBJECT_DEVICE, UVERBS_METHOD_INVOKE_WRITE, invoke_write},
    {UVERBS_OBJECT_DEVICE, UVERBS_METHOD_GET_CONTEXT, get_context},
    {UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_PORT, query_port},
    {UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_GID_ENTRY, query_gid_entry},
    {UVERBS_OBJECT_DEVICE, UVERBS_METHOD_QUERY_GID_TABLE, query_gid_table},
    {UVERBS_OBJECT_ASYNC_EVENT, UVERBS_METHOD_ASYNC_EVENT_ALLOC, allocate_async_events},
    {UVERBS_OBJECT_CQ, UVERBS_METHOD_CQ_CREATE, create_cq},
    {UVERBS_OBJECT_CQ, UVERBS_METHOD_CQ_DESTROY, destroy_cq},
    {UVERBS_OBJECT_QP, UVERBS_METHOD_QP_CREATE, create_qp},
    {UVERBS_OBJECT_QP, UVERBS_METHOD_QP_DESTROY, destroy_qp},
    {UVERBS_OBJECT_MR, UVERBS_METHOD_REG_DMABUF_MR, register_dmabuf},
    {UVERBS_OBJECT_MR, UVERBS_METHOD_MR_DESTROY, deregister_memory},
    {UVERBS_OBJECT_PD, UVERBS_METHOD_PD_DESTROY, nothing_to_do},
    {UVERBS_OBJECT_AH, UVERBS_METHOD_AH_DESTROY, nothing_to_do},
    {MLX5_IB_OBJECT_UAR, MLX5_IB_METHOD_UAR_OBJ_ALLOC, allocate_register_page},
    {MLX5_IB_OBJECT_UAR, MLX5_IB_METHOD_UAR_OBJ_DESTROY, free_register_page},
};

bool is_drivers(std::uint32_t id) { return (id & UVERBS_ID_NS_MASK) != 0; }

}  // namespace

int call(DeviceFile& file, Attributes& call) {
  for (const Method& known : kMethods) {
    if (known.object != call.object() || known.method != call.method()) continue;
    const int error = known.function(file, call);
    if (options().trace) {
      log_line("uverbs object 0x{:x} method {}: {}", call.object(), call.method(), error);
    }
    return error;
  }
  if (options().trace) {
    log_line("uverbs object 0x{:x} method {}: unknown", call.object(), call.method());
  }
  // The second makes the library try the older form.
  return is_drivers(call.object()) || is_drivers(call.method()) ? EOPNOTSUPP : EPROTONOSUPPORT;
}

}  // namespace softmlx5
