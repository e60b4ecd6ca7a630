// SPDX-License-Identifier: MIT
// The responder's receive queue, its answers, and writes held back on purpose.
#include <endian.h>
#include <infiniband/mlx5dv.h>

#include "tests/softmlx5/adversary.hpp"
#include "tests/softmlx5/clock.hpp"
#include "tests/softmlx5/queue_pair.hpp"
#include "tests/softmlx5/responder.hpp"

namespace softmlx5 {

namespace {

std::uint8_t kind_of(Op op) {
  switch (op) {
    case Op::kSend: return MLX5_CQE_RESP_SEND;
    case Op::kSendImmediate: return MLX5_CQE_RESP_SEND_IMM;
    case Op::kSendInvalidate: return MLX5_CQE_RESP_SEND_INV;
    default: return MLX5_CQE_RESP_WR_IMM;
  }
}

std::uint16_t posted_receives(const QueuePair& qp) {
  const std::uint32_t record = qp.created().doorbell_record[MLX5_RCV_DBR];
  std::atomic_thread_fence(std::memory_order_acquire);
  return static_cast<std::uint16_t>(be32toh(record));
}

}  // namespace

bool Responder::has_receive() const {
  return qp_.created().receive.num_entries > 0 && next_receive_ != posted_receives(qp_);
}

bool Responder::posted_receive(PieceList& pieces) const {
  const ReceiveQueue& queue = qp_.created().receive;
  const std::size_t index = next_receive_ & (queue.num_entries - 1);
  const auto* segment =
      reinterpret_cast<const mlx5_wqe_data_seg*>(queue.buffer + (index << queue.entry_shift));
  const std::size_t num_segments = (std::size_t{1} << queue.entry_shift) / sizeof *segment;
  for (std::size_t i = 0; i < num_segments; ++i, ++segment) {
    if (be32toh(segment->lkey) == MLX5_INVALID_LKEY) break;
    const std::uint32_t bytes = be32toh(segment->byte_count);
    if (bytes == 0) continue;
    const auto piece = services_.regions.translate({.key = be32toh(segment->lkey),
                                                    .address = be64toh(segment->addr),
                                                    .bytes = bytes,
                                                    .rights = IBV_ACCESS_LOCAL_WRITE,
                                                    .pd = qp_.created().pd});
    if (!piece || !pieces.add(*piece)) return false;
  }
  return true;
}

void Responder::complete_receive(const Message& request, std::uint16_t index) {
  qp_.created().receive_cq->push({.kind = kind_of(request.op),
                                  .solicited = request.solicited,
                                  .index = index,
                                  .qpn = qp_.qpn(),
                                  .uidx = qp_.created().uidx,
                                  .peer_qpn = request.from_qpn,
                                  .immediate = request.immediate,
                                  .bytes = request.message_bytes});
}

/// The next receive.
void Responder::complete_in_error(std::uint8_t syndrome) {
  CompletionQueue& cq = *qp_.created().receive_cq;
  if (syndrome != MLX5_CQE_SYNDROME_WR_FLUSH_ERR || !cq.full()) {
    cq.push({.kind = MLX5_CQE_RESP_ERR,
             .syndrome = syndrome,
             .index = next_receive_,
             .qpn = qp_.qpn(),
             .uidx = qp_.created().uidx});
  }
  ++next_receive_;
}

void Responder::flush() {
  settle();
  while (has_receive()) complete_in_error(MLX5_CQE_SYNDROME_WR_FLUSH_ERR);
}

/// An answer also acknowledges what precedes it: none may overtake unfinished copies.
bool Responder::answer(Peer& peer, const Message& request, Op op, std::uint8_t syndrome) {
  return !peer.busy() && settle() && answer_now(peer, request, op, syndrome);
}

bool Responder::answer_now(Peer& peer, const Message& request, Op op, std::uint8_t syndrome,
                           std::uint64_t result) {
  Message* response = peer.responses_out.reserve(0);
  if (response == nullptr) return false;
  response->op = op;
  response->last = true;
  response->syndrome = syndrome;
  response->to_qpn = request.from_qpn;
  response->from_qpn = request.to_qpn;
  response->sequence = request.sequence;
  response->operand = result;
  peer.responses_out.commit(*response, {});
  return true;
}

/// Later writes pass it, until it is due or something comes that may not pass.
bool Responder::hold(const Piece& piece, const Message& request) {
  const std::uint64_t time = adversary().hold_write_ns();
  if (time == 0) return false;
  if (held_.empty()) release_at_ = now_ns() + time;
  held_.push_back({piece, {request.payload(), request.payload() + request.payload_bytes}});
  return true;
}

void Responder::poll(std::uint64_t now) {
  if (owed_ || !held_.empty()) {
    if (now >= release_at_) settle();
  }
}

bool Responder::settle() {
  while (!held_.empty()) {
    const HeldWrite& write = held_.back();
    const Ticket copies = place(write.piece, write.bytes.data(), write.bytes.size(), true);
    if (copies.gpu != nullptr) copies.gpu->wait();
    held_.pop_back();
  }
  if (!owed_) return true;
  Peer& peer = services_.peers.at(QueuePair::slot_of(owed_->from_qpn));
  if (peer.busy() || !answer_now(peer, *owed_, Op::kAck, 0)) return false;
  owed_.reset();
  return true;
}

}  // namespace softmlx5
