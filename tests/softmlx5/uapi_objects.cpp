// SPDX-License-Identifier: MIT
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/mlx5-abi.h>

#include <cerrno>

#include "tests/softmlx5/log.hpp"
#include "tests/softmlx5/uapi.hpp"

namespace softmlx5 {

namespace {

constexpr std::uint32_t kFirstCqNumber = 0x400;

bool is_power_of_two(std::uint32_t value) { return value != 0 && (value & (value - 1)) == 0; }

template <class T>
T* pointer(std::uint64_t address) {
  return reinterpret_cast<T*>(static_cast<std::uintptr_t>(address));
}

QueuePair::Creation read_creation(const DeviceFile& file, const Attributes& call) {
  const auto driver = call.get<mlx5_ib_create_qp>(UVERBS_ATTR_UHW_IN);
  QueuePair::Creation creation;
  creation.owner = &file;
  creation.uidx = driver.uidx;
  creation.pd = call.get<std::uint32_t>(UVERBS_ATTR_CREATE_QP_PD_HANDLE);
  creation.uar_page = driver.bfreg_index;
  creation.device = file.device();
  creation.signal_all =
      (call.get<std::uint32_t>(UVERBS_ATTR_CREATE_QP_FLAGS) & IB_UVERBS_QP_CREATE_SQ_SIG_ALL) != 0;
  creation.send_cq = adapter().cqs.find(call.number(UVERBS_ATTR_CREATE_QP_SEND_CQ_HANDLE));
  creation.receive_cq = adapter().cqs.find(call.number(UVERBS_ATTR_CREATE_QP_RECV_CQ_HANDLE));
  // The receive queue comes first in the buffer.
  creation.receive = {.buffer = pointer<const std::byte>(driver.buf_addr),
                      .num_entries = driver.rq_wqe_count,
                      .entry_shift = driver.rq_wqe_shift};
  const std::uint64_t receive_bytes = std::uint64_t{driver.rq_wqe_count} << driver.rq_wqe_shift;
  creation.send = {.buffer = pointer<std::byte>(driver.buf_addr + receive_bytes),
                   .num_blocks = driver.sq_wqe_count};
  creation.doorbell_record = pointer<volatile std::uint32_t>(driver.db_addr);
  creation.cap = call.get<ib_uverbs_qp_cap>(UVERBS_ATTR_CREATE_QP_CAP);
  return creation;
}

int check_creation(const QueuePair::Creation& creation, const Attributes& call) {
  const auto type = call.get<std::uint32_t>(UVERBS_ATTR_CREATE_QP_TYPE);
  if (type != IBV_QPT_RC || call.has(UVERBS_ATTR_CREATE_QP_SRQ_HANDLE)) {
    log_line("only reliable connected queue pairs without a shared receive queue are there");
    return EOPNOTSUPP;
  }
  const bool sizes =
      is_power_of_two(creation.send.num_blocks) && creation.send.num_blocks <= kMaxQueueEntries &&
      (creation.receive.num_entries == 0 || is_power_of_two(creation.receive.num_entries));
  const bool cqs = creation.send_cq != nullptr && creation.receive_cq != nullptr;
  return sizes && cqs ? 0 : EINVAL;
}

std::uint32_t add_region(MemoryRegion& region) {
  const std::uint32_t handle = adapter().regions.add(region, adapter().fabric.slot());
  if (region.gpu == nullptr) return handle;
  adapter().qps.for_each([](const QueuePair& qp) {
    if (qp.receives()) Gpu::pin_rings(adapter().fabric, qp.peer_slot());
  });
  return handle;
}

}  // namespace

int create_cq(DeviceFile& file, Attributes& call) {
  const auto driver = call.get<mlx5_ib_create_cq>(UVERBS_ATTR_UHW_IN);
  const auto most = call.get<std::uint32_t>(UVERBS_ATTR_CREATE_CQ_CQE);
  const std::uint32_t handle = adapter().cqs.free_handle();
  if (handle == 0) return ENOMEM;
  if (!is_power_of_two(most + 1)) return EINVAL;
  CompletionQueue::Creation creation{.owner = &file,
                                     .number = kFirstCqNumber + handle,
                                     .user_handle = call.number(UVERBS_ATTR_CREATE_CQ_USER_HANDLE),
                                     .buffer = driver.buf_addr,
                                     .num_entries = most + 1,
                                     .entry_bytes = driver.cqe_size != 0 ? driver.cqe_size : 64,
                                     .doorbell_record = driver.db_addr};
  if (call.has(UVERBS_ATTR_CREATE_CQ_COMP_CHANNEL)) {
    creation.channel = call.get<int>(UVERBS_ATTR_CREATE_CQ_COMP_CHANNEL);
  }
  adapter().cqs.put(handle, std::make_unique<CompletionQueue>(creation, adapter().channels));
  call.put_handle(UVERBS_ATTR_CREATE_CQ_HANDLE, handle);
  call.put(UVERBS_ATTR_CREATE_CQ_RESP_CQE, most);
  mlx5_ib_create_cq_resp r = {};
  r.cqn = creation.number;
  call.put(UVERBS_ATTR_UHW_OUT, r);
  return 0;
}

int destroy_cq(DeviceFile& /*file*/, Attributes& call) {
  const auto handle = call.number(UVERBS_ATTR_DESTROY_CQ_HANDLE);
  CompletionQueue* cq = adapter().cqs.find(handle);
  if (cq == nullptr) return EINVAL;
  bool in_use = false;
  adapter().qps.for_each([&](const QueuePair& qp) {
    in_use |= qp.created().send_cq == cq || qp.created().receive_cq == cq;
  });
  if (in_use) return EBUSY;
  ib_uverbs_destroy_cq_resp r = {};
  r.comp_events_reported = cq->retire_events();
  adapter().cqs.erase(handle);
  call.put(UVERBS_ATTR_DESTROY_CQ_RESP, r);
  return 0;
}

int create_qp(DeviceFile& file, Attributes& call) {
  QueuePair::Creation creation = read_creation(file, call);
  const int error = check_creation(creation, call);
  if (error != 0) return error;
  creation.handle = adapter().qps.free_handle();
  if (creation.handle == 0) return ENOMEM;
  creation.qpn = adapter().qpn_of(creation.handle);
  adapter().qps.put(creation.handle, std::make_unique<QueuePair>(creation, adapter().services));
  call.put_handle(UVERBS_ATTR_CREATE_QP_HANDLE, creation.handle);
  call.put(UVERBS_ATTR_CREATE_QP_RESP_CAP, creation.cap);
  call.put(UVERBS_ATTR_CREATE_QP_RESP_QP_NUM, creation.qpn);
  mlx5_ib_create_qp_resp r = {};
  r.bfreg_index = creation.uar_page;
  call.put(UVERBS_ATTR_UHW_OUT, r);
  return 0;
}

int destroy_qp(DeviceFile& /*file*/, Attributes& call) {
  const auto handle = call.number(UVERBS_ATTR_DESTROY_QP_HANDLE);
  if (adapter().qps.find(handle) == nullptr) return EINVAL;
  adapter().destroy_qp(static_cast<std::uint32_t>(handle));
  call.put(UVERBS_ATTR_DESTROY_QP_RESP, ib_uverbs_destroy_qp_resp{});
  return 0;
}

int register_memory(DeviceFile& file, Attributes& call) {
  const auto request = call.get<ib_uverbs_reg_mr>(UVERBS_ATTR_CORE_IN);
  MemoryRegion region{.owner = &file,
                      .pd = request.pd_handle,
                      .access = request.access_flags,
                      .address = request.start,
                      .bytes = request.length,
                      .iova = request.hca_va,
                      .gpu = Gpu::of(request.start)};
  const std::uint32_t handle = add_region(region);
  if (handle == 0) return ENOMEM;
  ib_uverbs_reg_mr_resp r = {};
  r.mr_handle = handle;
  r.lkey = r.rkey = region.key;
  call.put_bytes(UVERBS_ATTR_CORE_OUT, &r, offsetof(ib_uverbs_reg_mr_resp, rkey) + sizeof r.rkey);
  return 0;
}

/// Of GPU memory, and at its own address: the descriptor is not looked into.
int register_dmabuf(DeviceFile& file, Attributes& call) {
  const auto address = call.number(UVERBS_ATTR_REG_DMABUF_MR_IOVA);
  MemoryRegion region{.owner = &file,
                      .pd = call.get<std::uint32_t>(UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE),
                      .access = call.get<std::uint32_t>(UVERBS_ATTR_REG_DMABUF_MR_ACCESS_FLAGS),
                      .address = address,
                      .bytes = call.number(UVERBS_ATTR_REG_DMABUF_MR_LENGTH),
                      .iova = address,
                      .gpu = Gpu::of(address)};
  if (region.gpu == nullptr) return EOPNOTSUPP;
  const std::uint32_t handle = add_region(region);
  if (handle == 0) return ENOMEM;
  call.put_handle(UVERBS_ATTR_REG_DMABUF_MR_HANDLE, handle);
  call.put(UVERBS_ATTR_REG_DMABUF_MR_RESP_LKEY, region.key);
  call.put(UVERBS_ATTR_REG_DMABUF_MR_RESP_RKEY, region.key);
  return 0;
}

int deregister_memory(DeviceFile& /*file*/, Attributes& call) {
  const auto handle = call.number(UVERBS_ATTR_DESTROY_MR_HANDLE);
  const MemoryRegion* region = adapter().regions.find(handle);
  if (region == nullptr) return EINVAL;
  if (region->gpu != nullptr) region->gpu->wait();
  adapter().regions.erase(handle);
  return 0;
}

}  // namespace softmlx5
