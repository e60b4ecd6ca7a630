// SPDX-License-Identifier: MIT
#include "tests/softmlx5/requester.hpp"

#include <endian.h>
#include <infiniband/mlx5dv.h>

#include <algorithm>
#include <atomic>

#include "tests/softmlx5/adversary.hpp"
#include "tests/softmlx5/clock.hpp"
#include "tests/softmlx5/log.hpp"
#include "tests/softmlx5/queue_pair.hpp"

namespace softmlx5 {

namespace {

constexpr int kBurst = 64;  // entries of one queue pair before it is another's turn
constexpr std::uint32_t kHostChunk = 32U << 10;

}  // namespace

void Requester::reset() {
  latched_ = next_ = 0;
  outstanding_.clear();
  not_before_ = silent_since_ = 0;
  doorbells_ = not_ready_ = 0;
  read_ = false;
  start(0);
}

void Requester::start(std::uint32_t sequence) {
  first_sequence_ = sequence_ = sequence & kSequenceMask;
}

std::uint16_t Requester::posted() const {
  const std::uint32_t record = qp_.created().doorbell_record[MLX5_SND_DBR];
  std::atomic_thread_fence(std::memory_order_acquire);
  return static_cast<std::uint16_t>(be32toh(record));
}

void Requester::ring(std::uint64_t now) {
  if (adversary().drops_doorbell(++doorbells_)) return;
  if (next_ == latched_) not_before_ = std::max(not_before_, adversary().serve_doorbell_at(now));
  latched_ = posted();
}

std::uint16_t Requester::oldest_index() const {
  return outstanding_.empty() ? next_ : outstanding_.front().index;
}

void Requester::read(std::uint16_t index) {
  read_entry(entry_, qp_.created().send, index,
             {.qpn = qp_.qpn(), .pd = qp_.created().pd, .regions = services_.regions});
}

bool Requester::send(std::uint64_t now) {
  bool worked = false;
  for (int i = 0; i < kBurst && qp_.sends() && next_ != latched_ && now >= not_before_; ++i) {
    if (!step(now)) break;
    worked = true;
  }
  return worked;
}

/// One entry. False: it cannot go further now.
bool Requester::step(std::uint64_t now) {
  if (!read_) begin_entry();
  if (is_wrong()) return refuse_entry();
  if (entry_.op == Op::kNop) return finish_nop();
  if (!send_chunks(now)) return false;
  finish_entry(now);
  return true;
}

void Requester::begin_entry() {
  read(next_);
  read_ = true;
  chunk_ = 0;
  const std::uint32_t payload = entry_.fetches() ? 0 : entry_.bytes();
  chunk_bytes_ = adversary().chunk_bytes(payload, entry_.local.on_gpu() ? kGpuChunk : kHostChunk);
  num_chunks_ = std::max(1U, (payload + chunk_bytes_ - 1) / chunk_bytes_);
}

bool Requester::is_wrong() {
  const auto ahead = static_cast<std::uint16_t>(latched_ - oldest_index());
  const std::uint32_t room = qp_.created().send.num_blocks;
  if (ahead > room) {
    entry_.syndrome = MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR;
    entry_.problem = fmt::format(
        "send queue overrun: {} blocks rung for and not completed, it has {}", ahead, room);
  } else if (entry_.local.broken()) {
    entry_.syndrome = MLX5_CQE_SYNDROME_LOCAL_PROT_ERR;
    entry_.problem = "a copy from or to its GPU memory failed";
  } else if (adversary().fails_entry(
                 static_cast<std::uint32_t>(sequence_distance(sequence_, first_sequence_)) + 1)) {
    entry_.syndrome = MLX5_CQE_SYNDROME_TRANSPORT_RETRY_EXC_ERR;
    entry_.problem = "failed on request";
  }
  return entry_.syndrome != 0;
}

/// Everything before it completes first.
bool Requester::refuse_entry() {
  if (!outstanding_.empty()) return false;
  log_line("qp 0x{:06x} entry {}: {}", qp_.qpn(), next_, entry_.problem);
  next_ = static_cast<std::uint16_t>(next_ + entry_.num_blocks);
  read_ = false;
  complete_in_error(entry_.index, entry_.opcode, entry_.syndrome);
  qp_.to_error();
  return true;
}

bool Requester::finish_nop() {
  if (!outstanding_.empty()) return false;
  complete({.index = next_,
            .opcode = entry_.opcode,
            .signaled = entry_.signaled || qp_.created().signal_all});
  next_ = static_cast<std::uint16_t>(next_ + entry_.num_blocks);
  read_ = false;
  return true;
}

bool Requester::send_chunks(std::uint64_t now) {
  Peer& peer = services_.peers.at(qp_.peer_slot());
  while (chunk_ < num_chunks_ && now >= not_before_) {
    Message* message = write_chunk(peer);
    if (message == nullptr) return false;
    const Ticket filled =
        gather(entry_.local, message->offset, message->payload(), message->payload_bytes);
    peer.requests_out.commit(*message, filled);
    if (++chunk_ < num_chunks_) postpone(now + adversary().pause_ns());
  }
  return chunk_ == num_chunks_;
}

/// The header of the next chunk; null: no room.
Message* Requester::write_chunk(Peer& peer) {
  const std::uint32_t total = entry_.fetches() ? 0 : entry_.bytes();
  const std::uint64_t key = std::uint64_t{qp_.qpn()} << 24 | sequence_;
  const std::uint32_t offset = chunk_bytes_ * adversary().chunk(chunk_, num_chunks_, key);
  Message* message = peer.requests_out.reserve(std::min(chunk_bytes_, total - offset));
  if (message == nullptr) return nullptr;
  message->op = entry_.op;
  message->first = chunk_ == 0;
  message->last = chunk_ == num_chunks_ - 1;
  message->solicited = entry_.solicited;
  message->device = static_cast<std::uint8_t>(qp_.peer_device());
  message->to_qpn = qp_.attributes().dest_qp_num;
  message->from_qpn = qp_.qpn();
  message->sequence = sequence_;
  message->message_bytes = entry_.bytes();
  message->offset = offset;
  message->remote_address = entry_.remote_address;
  message->rkey = entry_.rkey;
  message->immediate = entry_.immediate;
  message->operand = entry_.operand;
  message->compare = entry_.compare;
  return message;
}

void Requester::finish_entry(std::uint64_t now) {
  outstanding_.push_back({.sequence = sequence_,
                          .index = next_,
                          .opcode = entry_.opcode,
                          .signaled = entry_.signaled || qp_.created().signal_all,
                          .bytes = entry_.bytes()});
  sequence_ = (sequence_ + 1) & kSequenceMask;
  next_ = static_cast<std::uint16_t>(next_ + entry_.num_blocks);
  read_ = false;
  not_before_ = adversary().serve_next_entry_at(now);
}

void Requester::go_back() {
  if (!outstanding_.empty()) {
    next_ = outstanding_.front().index;
    sequence_ = outstanding_.front().sequence;
    outstanding_.clear();
  }
  read_ = false;
}

void Requester::complete(const Outstanding& done) {
  if (!done.signaled) return;
  qp_.created().send_cq->push({.kind = MLX5_CQE_REQ,
                               .opcode = done.opcode,
                               .index = done.index,
                               .qpn = qp_.qpn(),
                               .uidx = qp_.created().uidx,
                               .bytes = done.bytes});
}

void Requester::complete_in_error(std::uint16_t index, std::uint8_t opcode, std::uint8_t syndrome) {
  CompletionQueue& cq = *qp_.created().send_cq;
  if (syndrome == MLX5_CQE_SYNDROME_WR_FLUSH_ERR && cq.full()) return;
  cq.push({.kind = MLX5_CQE_REQ_ERR,
           .syndrome = syndrome,
           .opcode = opcode,
           .index = index,
           .qpn = qp_.qpn(),
           .uidx = qp_.created().uidx});
}

void Requester::flush() {
  for (const Outstanding& entry : outstanding_) {
    complete_in_error(entry.index, entry.opcode, MLX5_CQE_SYNDROME_WR_FLUSH_ERR);
  }
  outstanding_.clear();
  for (std::uint32_t i = 0; next_ != latched_ && i < qp_.created().send.num_blocks; ++i) {
    read(next_);
    complete_in_error(next_, entry_.opcode, MLX5_CQE_SYNDROME_WR_FLUSH_ERR);
    const auto left = static_cast<std::uint16_t>(latched_ - next_);
    next_ = static_cast<std::uint16_t>(next_ + std::min<std::uint32_t>(entry_.num_blocks, left));
  }
  next_ = latched_;
  read_ = false;
}

void Requester::fail(std::uint8_t syndrome, const char* what) {
  Outstanding oldest{.index = next_, .opcode = entry_.opcode};
  if (!outstanding_.empty()) {
    oldest = outstanding_.front();
    outstanding_.pop_front();
  } else {
    read(next_);
    oldest.opcode = entry_.opcode;
    next_ = static_cast<std::uint16_t>(next_ + entry_.num_blocks);
  }
  log_line("qp 0x{:06x} entry {}: {}", qp_.qpn(), oldest.index, what);
  complete_in_error(oldest.index, oldest.opcode, syndrome);
  qp_.to_error();
}

}  // namespace softmlx5
