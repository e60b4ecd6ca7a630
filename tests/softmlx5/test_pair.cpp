// SPDX-License-Identifier: MIT
#include "tests/softmlx5/test_pair.hpp"

#include <endian.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace softmlx5_test {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::seconds(20);
constexpr std::uint32_t kBlockBytes = 64;
constexpr std::uint32_t kFirstPsn = 7;

void to_init(ibv_qp* qp) {
  ibv_qp_attr init = {};
  init.qp_state = IBV_QPS_INIT;
  init.port_num = 1;
  init.qp_access_flags =
      IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC;
  check(ibv_modify_qp(qp, &init,
                      IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS) == 0,
        "INIT");
}

}  // namespace

bool wait_for(const std::function<bool()>& done) {
  const auto end = Clock::now() + kPatience;
  while (!done()) {
    if (Clock::now() > end) return false;
    ::sched_yield();
  }
  return true;
}

void check(bool good, const char* what, const char* file, int line) {
  if (good) return;
  std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
  std::exit(99);
}

Device::Device() {
  int count = 0;
  ibv_device** devices = ibv_get_device_list(&count);
  check(devices != nullptr && count > 0, "a device");
  context = llep::UniqueContext(ibv_open_device(devices[0]));
  ibv_free_device_list(devices);
  check(static_cast<bool>(context), "open");
  pd = llep::UniquePd(ibv_alloc_pd(context.get()));
  check(static_cast<bool>(pd), "pd");
  check(ibv_query_port(context.get(), 1, &port) == 0, "query port");
}

Memory::Memory(ibv_pd* pd, std::size_t bytes, int access) : bytes_(bytes) {
  mr_ = llep::UniqueMr(ibv_reg_mr(pd, bytes_.data(), bytes, access));
  check(static_cast<bool>(mr_), "register memory");
}

std::uint64_t Memory::word(std::size_t offset) const {
  auto* address = reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(bytes_.data() + offset));
  return std::atomic_ref<std::uint64_t>(*address).load(std::memory_order_acquire);
}

void Memory::set_word(std::size_t offset, std::uint64_t value) {
  auto* address = reinterpret_cast<std::uint64_t*>(bytes_.data() + offset);
  std::atomic_ref<std::uint64_t>(*address).store(value, std::memory_order_release);
}

bool Memory::wait_word(std::size_t offset, std::uint64_t value) const {
  return wait_for([&] { return word(offset) == value; });
}

llep::UniqueQp make_qp(const Device& device, ibv_cq* cq, const PairOptions& options) {
  ibv_qp_init_attr wanted = {};
  wanted.send_cq = wanted.recv_cq = cq;
  wanted.qp_type = IBV_QPT_RC;
  wanted.cap.max_send_wr = options.depth;
  wanted.cap.max_recv_wr = 16;
  wanted.cap.max_send_sge = wanted.cap.max_recv_sge = 2;
  llep::UniqueQp qp(ibv_create_qp(options.pd != nullptr ? options.pd : device.pd.get(), &wanted));
  check(static_cast<bool>(qp), "queue pair");
  to_init(qp.get());
  return qp;
}

ibv_gid first_gid(const Device& device) {
  ibv_gid gid = {};
  check(ibv_query_gid(device.context.get(), 1, 0, &gid) == 0, "query GID");
  return gid;
}

void connect(ibv_qp* qp, std::uint32_t peer_qpn, const ibv_port_attr& port, const ibv_gid& gid) {
  ibv_qp_attr attributes = {};
  attributes.qp_state = IBV_QPS_RTR;
  attributes.path_mtu = IBV_MTU_4096;
  attributes.dest_qp_num = peer_qpn;
  attributes.rq_psn = kFirstPsn;
  attributes.max_dest_rd_atomic = 1;
  attributes.min_rnr_timer = 1;
  attributes.ah_attr.port_num = 1;
  attributes.ah_attr.dlid = port.lid;
  attributes.ah_attr.is_global = port.link_layer == IBV_LINK_LAYER_ETHERNET;
  attributes.ah_attr.grh.dgid = gid;
  check(ibv_modify_qp(qp, &attributes,
                      IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                          IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER) == 0,
        "RTR");
  attributes = {};
  attributes.qp_state = IBV_QPS_RTS;
  attributes.sq_psn = kFirstPsn;
  attributes.timeout = 14;
  attributes.retry_cnt = 6;
  attributes.rnr_retry = 7;
  attributes.max_rd_atomic = 1;
  check(ibv_modify_qp(qp, &attributes,
                      IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
                          IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC) == 0,
        "RTS");
}

Pair::Pair(const Device& device, const PairOptions& options) {
  ibv_context* context = device.context.get();
  cq = llep::UniqueCq(ibv_create_cq(context, options.cq_entries, nullptr, options.channel, 0));
  far_cq = llep::UniqueCq(ibv_create_cq(context, options.cq_entries, nullptr, nullptr, 0));
  check(cq && far_cq, "completion queues");
  qp = make_qp(device, cq.get(), options);
  far = make_qp(device, far_cq.get(), options);
  const ibv_gid gid = first_gid(device);
  connect(qp.get(), far.get()->qp_num, device.port, gid);
  connect(far.get(), qp.get()->qp_num, device.port, gid);
}

ibv_wc wait_completion(ibv_cq* cq) {
  ibv_wc completion = {};
  int found = 0;
  check(wait_for([&] {
          found = ibv_poll_cq(cq, 1, &completion);
          return found != 0;
        }),
        "a completion in time");
  check(found == 1, "ibv_poll_cq");
  return completion;
}

RawQueue::RawQueue(ibv_qp* qp, ibv_cq* cq) : qpn_(qp->qp_num) {
  mlx5dv_obj objects = {};
  objects.qp = {.in = qp, .out = &qp_};
  objects.cq = {.in = cq, .out = &cq_};
  check(mlx5dv_init_obj(&objects, MLX5DV_OBJ_QP | MLX5DV_OBJ_CQ) == 0, "mlx5dv_init_obj");
}

mlx5_wqe_ctrl_seg* RawQueue::block(std::uint32_t index) {
  return reinterpret_cast<mlx5_wqe_ctrl_seg*>(static_cast<std::byte*>(qp_.sq.buf) +
                                              std::size_t{index & (qp_.sq.wqe_cnt - 1)} *
                                                  kBlockBytes);
}

std::uint16_t RawQueue::write(const Entry& entry) {
  const auto index = static_cast<std::uint16_t>(produced_++);
  mlx5_wqe_ctrl_seg* control = block(index);
  std::memset(control, 0, kBlockBytes);
  const bool atomic =
      entry.opcode == MLX5_OPCODE_ATOMIC_FA || entry.opcode == MLX5_OPCODE_ATOMIC_CS;
  const std::uint32_t ds = entry.ds.value_or(atomic ? 4 : 3);
  control->opmod_idx_opcode =
      htobe32(std::uint32_t{entry.index.value_or(index)} << 8 | entry.opcode);
  control->qpn_ds = htobe32(entry.qpn.value_or(qpn_) << 8 | ds);
  control->fm_ce_se = entry.signaled ? MLX5_WQE_CTRL_CQ_UPDATE : 0;
  auto* remote = reinterpret_cast<mlx5_wqe_raddr_seg*>(control + 1);
  remote->raddr = htobe64(entry.remote);
  remote->rkey = htobe32(entry.rkey);
  auto* next = reinterpret_cast<std::byte*>(remote + 1);
  if (atomic) {
    reinterpret_cast<mlx5_wqe_atomic_seg*>(next)->swap_add = htobe64(1);
    next += sizeof(mlx5_wqe_atomic_seg);
  }
  if (entry.inline_word) {
    const std::uint32_t head = htobe32(MLX5_INLINE_SEG | entry.bytes);
    std::memcpy(next, &head, sizeof head);
    std::memcpy(next + sizeof head, &*entry.inline_word, sizeof *entry.inline_word);
    return index;
  }
  auto* data = reinterpret_cast<mlx5_wqe_data_seg*>(next);
  data->byte_count = htobe32(entry.bytes);
  data->lkey = htobe32(entry.lkey);
  data->addr = htobe64(entry.local);
  return index;
}

void RawQueue::publish() {
  const std::atomic_ref<__be32> record(qp_.dbrec[MLX5_SND_DBR]);
  record.store(htobe32(produced_ & 0xffff), std::memory_order_seq_cst);
}

void RawQueue::ring() {
  auto* address =
      reinterpret_cast<std::uint64_t*>(static_cast<std::byte*>(qp_.bf.reg) + register_half_);
  std::uint64_t doorbell = 0;
  std::memcpy(&doorbell, block(produced_ - 1), sizeof doorbell);
  std::atomic_ref<std::uint64_t>(*address).store(doorbell, std::memory_order_seq_cst);
  register_half_ ^= qp_.bf.size;
}

std::optional<mlx5_cqe64> RawQueue::poll() {
  auto* entry = reinterpret_cast<mlx5_cqe64*>(
      static_cast<std::byte*>(cq_.buf) + std::size_t{consumed_ & (cq_.cqe_cnt - 1)} * cq_.cqe_size);
  const std::uint8_t owner = __atomic_load_n(&entry->op_own, __ATOMIC_ACQUIRE);
  const bool odd_round = (consumed_ & cq_.cqe_cnt) != 0;
  if (owner >> 4 == MLX5_CQE_INVALID || (owner & 1) != (odd_round ? 1 : 0)) return std::nullopt;
  const mlx5_cqe64 copy = *entry;
  ++consumed_;
  const std::atomic_ref<__be32> record(cq_.dbrec[0]);
  record.store(htobe32(consumed_ & 0xffffff), std::memory_order_release);
  return copy;
}

mlx5_cqe64 RawQueue::wait() {
  std::optional<mlx5_cqe64> completion;
  check(wait_for([&] { return (completion = poll()).has_value(); }), "a completion in time");
  return *completion;
}

std::uint8_t kind_of(const mlx5_cqe64& completion) { return completion.op_own >> 4; }

std::uint8_t syndrome_of(const mlx5_cqe64& completion) {
  return reinterpret_cast<const mlx5_err_cqe&>(completion).syndrome;
}

}  // namespace softmlx5_test
