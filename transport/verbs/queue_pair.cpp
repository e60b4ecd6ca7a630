// SPDX-License-Identifier: MIT
#include "transport/verbs/queue_pair.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "common/error.hpp"

namespace llep {

namespace {

constexpr int kMostReadsUnderWay = 16;
constexpr std::uint32_t kPsnMask = 0xffffff;

ibv_ah_attr address_of(const VerbsDevice& device, const VerbsOptions& options,
                       const Endpoint& peer) {
  ibv_ah_attr address = {};
  address.dlid = peer.lid;
  address.sl = static_cast<std::uint8_t>(options.service_level);
  address.port_num = static_cast<std::uint8_t>(device.port_number);
  // InfiniBand needs the global header between subnets alone.
  address.is_global = device.ethernet() || options.gid_index >= 0 ||
                      device.gid.gid.global.subnet_prefix != peer.gid.global.subnet_prefix;
  address.grh.dgid = peer.gid;
  address.grh.sgid_index = static_cast<std::uint8_t>(device.gid.gid_index);
  address.grh.hop_limit = 255;
  address.grh.traffic_class = static_cast<std::uint8_t>(options.traffic_class);
  return address;
}

}  // namespace

[[noreturn]] void fail_verbs(const std::string& doing, int error, const std::string& remedy) {
  throw Error(ExitCode::kUnavailable, fmt::format("verbs: {}: {}{}{}", doing, std::strerror(error),
                                                  remedy.empty() ? "" : "; ", remedy));
}

Endpoint endpoint_of(const VerbsDevice& device, const RegisteredMemory& heap) {
  Endpoint mine;
  mine.gid = device.gid.gid;
  mine.heap_address = heap.address;
  mine.heap_rkey = heap.mr.get()->rkey;
  mine.first_psn = std::random_device()();
  mine.lid = device.port.lid;
  mine.link_layer = device.port.link_layer;
  mine.mtu = static_cast<std::uint8_t>(device.port.active_mtu);
  mine.reads_under_way = static_cast<std::uint8_t>(std::min(
      {kMostReadsUnderWay, device.limits.max_qp_rd_atom, device.limits.max_qp_init_rd_atom}));
  return mine;
}

UniqueQp create_qp(const VerbsDevice& device, ibv_pd* pd, ibv_cq* cq, const VerbsOptions& options) {
  ibv_qp_init_attr wanted = {};
  wanted.send_cq = cq;
  wanted.recv_cq = cq;
  wanted.qp_type = IBV_QPT_RC;
  wanted.cap.max_send_wr = static_cast<std::uint32_t>(options.send_depth);
  wanted.cap.max_recv_wr = 1;
  wanted.cap.max_send_sge = 1;
  wanted.cap.max_recv_sge = 1;
  wanted.cap.max_inline_data = sizeof(std::uint64_t);
  UniqueQp qp(ibv_create_qp(pd, &wanted));
  if (!qp) {
    // A work request may take several of the blocks that a library counts a queue in.
    const int error = errno;
    fail_verbs(fmt::format("making a queue pair for {} work requests on {}", options.send_depth,
                           device.name),
               error, error == EINVAL || error == ENOMEM ? "a smaller --send-depth" : "");
  }

  ibv_qp_attr init = {};
  init.qp_state = IBV_QPS_INIT;
  init.port_num = static_cast<std::uint8_t>(device.port_number);
  init.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
  if (options.atomic_signals()) init.qp_access_flags |= IBV_ACCESS_REMOTE_ATOMIC;
  const int error = ibv_modify_qp(
      qp.get(), &init, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
  if (error != 0) fail_verbs("preparing a queue pair on " + device.name, error);
  return qp;
}

void connect_qp(ibv_qp* qp, const VerbsDevice& device, const VerbsOptions& options,
                const Connection& connection) {
  const auto& [mine, peer, peer_qpn] = connection;
  const auto reads = std::min(mine.reads_under_way, peer.reads_under_way);
  ibv_qp_attr attributes = {};
  attributes.qp_state = IBV_QPS_RTR;
  attributes.path_mtu = static_cast<ibv_mtu>(std::min(mine.mtu, peer.mtu));
  attributes.dest_qp_num = peer_qpn;
  attributes.rq_psn = (peer.first_psn + peer_qpn) & kPsnMask;
  attributes.max_dest_rd_atomic = reads;
  attributes.min_rnr_timer = 12;  // 0.64 ms; writes never meet it
  attributes.ah_attr = address_of(device, options, peer);
  int error = ibv_modify_qp(qp, &attributes,
                            IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
                                IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
  if (error != 0) fail_verbs(device.description() + ": addressing a peer", error);

  attributes = {};
  attributes.qp_state = IBV_QPS_RTS;
  attributes.sq_psn = (mine.first_psn + qp->qp_num) & kPsnMask;
  attributes.timeout = static_cast<std::uint8_t>(options.ack_timeout);
  attributes.retry_cnt = 6;  // 7 is for ever to soft-RoCE (rxe_comp.c)
  attributes.rnr_retry = 6;
  attributes.max_rd_atomic = reads;
  error = ibv_modify_qp(qp, &attributes,
                        IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
                            IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC);
  if (error != 0) fail_verbs(device.description() + ": starting a queue pair", error);
}

void end_qp(ibv_qp* qp) {
  ibv_qp_attr attributes = {};
  attributes.qp_state = IBV_QPS_ERR;
  const int error = ibv_modify_qp(qp, &attributes, IBV_QP_STATE);
  if (error != 0) fail_verbs("moving a queue pair to the error state", error);
}

}  // namespace llep
