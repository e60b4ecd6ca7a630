// SPDX-License-Identifier: MIT
#include "tests/softmlx5/queue_pair.hpp"

#include <cerrno>

#include "tests/softmlx5/log.hpp"

namespace softmlx5 {

namespace {

bool may_become(std::uint32_t from, std::uint32_t to) {
  switch (to) {
    case IBV_QPS_RESET:
    case IBV_QPS_ERR: return true;
    case IBV_QPS_INIT: return from == IBV_QPS_RESET || from == IBV_QPS_INIT;
    case IBV_QPS_RTR: return from == IBV_QPS_INIT;
    case IBV_QPS_RTS: return from == IBV_QPS_RTR || from == IBV_QPS_RTS || from == IBV_QPS_SQD;
    case IBV_QPS_SQD: return from == IBV_QPS_RTS;
    default: return false;
  }
}

}  // namespace

int QueuePair::address(const ib_uverbs_modify_qp& change) {
  const int device = device_at(change.dest);
  if (device < 0) {
    log_line("qp 0x{:06x}: no device has LID {} or this GID", qpn(), change.dest.dlid);
    return EINVAL;
  }
  peer_device_ = device;
  attributes_.dest = change.dest;
  return 0;
}

void QueuePair::set_attributes(const ib_uverbs_modify_qp& change) {
  const auto take = [&](std::uint32_t bit, auto ib_uverbs_modify_qp::*member) {
    if ((change.attr_mask & bit) != 0) attributes_.*member = change.*member;
  };
  take(IBV_QP_ACCESS_FLAGS, &ib_uverbs_modify_qp::qp_access_flags);
  take(IBV_QP_PKEY_INDEX, &ib_uverbs_modify_qp::pkey_index);
  take(IBV_QP_PORT, &ib_uverbs_modify_qp::port_num);
  take(IBV_QP_PATH_MTU, &ib_uverbs_modify_qp::path_mtu);
  take(IBV_QP_TIMEOUT, &ib_uverbs_modify_qp::timeout);
  take(IBV_QP_RETRY_CNT, &ib_uverbs_modify_qp::retry_cnt);
  take(IBV_QP_RNR_RETRY, &ib_uverbs_modify_qp::rnr_retry);
  take(IBV_QP_RQ_PSN, &ib_uverbs_modify_qp::rq_psn);
  take(IBV_QP_SQ_PSN, &ib_uverbs_modify_qp::sq_psn);
  take(IBV_QP_MAX_QP_RD_ATOMIC, &ib_uverbs_modify_qp::max_rd_atomic);
  take(IBV_QP_MAX_DEST_RD_ATOMIC, &ib_uverbs_modify_qp::max_dest_rd_atomic);
  take(IBV_QP_MIN_RNR_TIMER, &ib_uverbs_modify_qp::min_rnr_timer);
  take(IBV_QP_DEST_QPN, &ib_uverbs_modify_qp::dest_qp_num);
  if ((change.attr_mask & IBV_QP_RQ_PSN) != 0) responder.start(change.rq_psn);
  if ((change.attr_mask & IBV_QP_SQ_PSN) != 0) requester.start(change.sq_psn);
}

int QueuePair::modify(const ib_uverbs_modify_qp& change) {
  const bool changes_state = (change.attr_mask & IBV_QP_STATE) != 0;
  if (changes_state && !may_become(state_, change.qp_state)) return EINVAL;
  if ((change.attr_mask & IBV_QP_AV) != 0) {
    const int error = address(change);
    if (error != 0) return error;
  }
  set_attributes(change);
  return changes_state ? to_state(change.qp_state) : 0;
}

int QueuePair::to_state(std::uint32_t state) {
  if (state == IBV_QPS_RTR) {
    if (peer_slot() >= kMaxSlots) return EINVAL;
    if (!services_.fabric.prepare(peer_slot())) return ENOMEM;
    Gpu::pin_rings(services_.fabric, peer_slot());
  }
  if (state == IBV_QPS_ERR) {
    to_error();
    return 0;
  }
  if (state == IBV_QPS_RESET) {
    attributes_ = {};
    requester.reset();
    responder.reset();
  }
  state_ = state;
  return 0;
}

void QueuePair::to_error() {
  state_ = IBV_QPS_ERR;
  requester.flush();
  responder.flush();
}

ib_uverbs_query_qp_resp QueuePair::query() const {
  ib_uverbs_query_qp_resp r = {};
  r.dest = attributes_.dest;
  r.max_send_wr = creation_.cap.max_send_wr;
  r.max_recv_wr = creation_.cap.max_recv_wr;
  r.max_send_sge = creation_.cap.max_send_sge;
  r.max_recv_sge = creation_.cap.max_recv_sge;
  r.max_inline_data = creation_.cap.max_inline_data;
  r.qp_access_flags = attributes_.qp_access_flags;
  r.rq_psn = attributes_.rq_psn;
  r.sq_psn = attributes_.sq_psn;
  r.dest_qp_num = attributes_.dest_qp_num;
  r.qp_state = r.cur_qp_state = static_cast<std::uint8_t>(state_);
  r.path_mtu = attributes_.path_mtu;
  r.port_num = attributes_.port_num;
  r.timeout = attributes_.timeout;
  r.retry_cnt = attributes_.retry_cnt;
  r.rnr_retry = attributes_.rnr_retry;
  r.max_rd_atomic = attributes_.max_rd_atomic;
  r.max_dest_rd_atomic = attributes_.max_dest_rd_atomic;
  r.min_rnr_timer = attributes_.min_rnr_timer;
  r.sq_sig_all = creation_.signal_all ? 1 : 0;
  return r;
}

}  // namespace softmlx5
