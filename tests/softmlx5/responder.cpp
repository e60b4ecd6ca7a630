// SPDX-License-Identifier: MIT
#include "tests/softmlx5/responder.hpp"

#include <endian.h>
#include <infiniband/mlx5dv.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "tests/softmlx5/log.hpp"
#include "tests/softmlx5/queue_pair.hpp"

namespace softmlx5 {

namespace {

constexpr std::uint32_t kHostReadChunk = 32U << 10;

}  // namespace

void Responder::reset() {
  in_message_ = false;
  next_receive_ = 0;
  read_offset_ = 0;
  held_.clear();
  owed_.reset();
  start(0);
}

void Responder::start(std::uint32_t sequence) { expected_ = sequence & kSequenceMask; }

bool Responder::on_request(Peer& peer, const Message& request) {
  const bool ours =
      request.from_qpn == qp_.attributes().dest_qp_num && request.device == qp_.created().device;
  if (!qp_.receives() || !ours || request.sequence != expected_) {
    return on_unexpected(peer, request);
  }
  if (!begin(peer, request)) return false;
  if (!in_message_) return true;  // the rest of a message that was not accepted
  const Outcome outcome = carry_out(peer, request);
  switch (outcome.kind) {
    case Outcome::kLater: return false;
    case Outcome::kRefused: return refuse(peer, request, outcome);
    case Outcome::kPlaced: break;
  }
  const bool answered =
      request.op == Op::kRead || request.op == Op::kCompareSwap || request.op == Op::kFetchAdd;
  if (!answered) return end_record(peer, request, outcome.copies);
  end_message();
  return true;
}

/// A real adapter drops it. Saying so lets the sender tell silence from a busy machine.
bool Responder::on_unexpected(Peer& peer, const Message& request) {
  return !request.first || answer(peer, request, Op::kSilence);
}

/// What a message must find before its first byte moves. False: not now.
bool Responder::begin(Peer& peer, const Message& request) {
  if (request.first) in_message_ = true;
  const bool takes_receive =
      (is_send(request.op) && request.first) || (request.op == Op::kWriteImmediate && request.last);
  if (!in_message_ || !takes_receive || has_receive()) return true;
  if (!answer(peer, request, Op::kNotReady, qp_.attributes().min_rnr_timer)) return false;
  in_message_ = false;
  return true;
}

Responder::Outcome Responder::carry_out(Peer& peer, const Message& request) {
  if (request.op != Op::kWrite && !settle()) return {};
  if (is_send(request.op)) return receive(peer, request);
  switch (request.op) {
    case Op::kRead: return read(peer, request);
    case Op::kCompareSwap:
    case Op::kFetchAdd: return atomic(peer, request);
    default: return write(peer, request);
  }
}

std::optional<Piece> Responder::remote(const Message& request, std::uint64_t offset,
                                       std::uint32_t bytes, std::uint32_t rights) const {
  if ((qp_.attributes().qp_access_flags & rights) != rights) return std::nullopt;
  return services_.regions.translate({.key = request.rkey,
                                      .address = request.remote_address + offset,
                                      .bytes = bytes,
                                      .rights = rights,
                                      .pd = qp_.created().pd});
}

Responder::Outcome Responder::write(Peer& peer, const Message& request) {
  if (request.message_bytes == 0) return {.kind = Outcome::kPlaced};
  const bool allowed =
      !request.first || remote(request, 0, request.message_bytes, IBV_ACCESS_REMOTE_WRITE);
  const auto piece =
      remote(request, request.offset, request.payload_bytes, IBV_ACCESS_REMOTE_WRITE);
  if (!allowed || !piece) {
    return {.kind = Outcome::kRefused, .syndrome = MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR};
  }
  if (!peer.in_order_with(piece->gpu)) return {};
  if (request.op == Op::kWrite && piece->relaxed && hold(*piece, request)) {
    return {.kind = Outcome::kPlaced};
  }
  return {.kind = Outcome::kPlaced,
          .copies = place(*piece, request.payload(), request.payload_bytes, request.last)};
}

Responder::Outcome Responder::receive(Peer& peer, const Message& request) {
  PieceList pieces;
  if (!posted_receive(pieces)) {
    return {.kind = Outcome::kRefused,
            .syndrome = MLX5_CQE_SYNDROME_REMOTE_OP_ERR,
            .why = "the receive's local memory"};
  }
  if (pieces.bytes() < request.message_bytes) {
    return {.kind = Outcome::kRefused,
            .syndrome = MLX5_CQE_SYNDROME_REMOTE_INVAL_REQ_ERR,
            .why = "more bytes than the receive has room for"};
  }
  for (const Piece& piece : pieces.pieces()) {
    if (!peer.in_order_with(piece.gpu)) return {};
  }
  return {.kind = Outcome::kPlaced,
          .copies = scatter(pieces, request.offset, request.payload(), request.payload_bytes,
                            request.last)};
}

Responder::Outcome Responder::read(Peer& peer, const Message& request) {
  if (peer.busy()) return {};
  const auto piece = remote(request, 0, request.message_bytes, IBV_ACCESS_REMOTE_READ);
  if (!piece) return {.kind = Outcome::kRefused, .syndrome = MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR};
  PieceList source;
  source.add(*piece);
  const std::uint32_t chunk = piece->gpu != nullptr ? kGpuChunk : kHostReadChunk;
  do {
    const std::uint32_t bytes = std::min(request.message_bytes - read_offset_, chunk);
    Message* response = peer.responses_out.reserve(bytes);
    if (response == nullptr) return {};
    response->op = Op::kReadData;
    response->to_qpn = request.from_qpn;
    response->from_qpn = request.to_qpn;
    response->sequence = request.sequence;
    response->offset = read_offset_;
    response->last = read_offset_ + bytes == request.message_bytes;
    const Ticket filled = gather(source, read_offset_, response->payload(), bytes);
    peer.responses_out.commit(*response, filled);
    read_offset_ += bytes;
  } while (read_offset_ != request.message_bytes);
  read_offset_ = 0;
  return {.kind = Outcome::kPlaced};
}

/// Atomic against this host's CPUs and other requests of this adapter; not against GPU kernels.
Responder::Outcome Responder::atomic(Peer& peer, const Message& request) {
  if (peer.busy() || peer.responses_out.reserve(0) == nullptr) return {};
  const bool aligned = request.remote_address % 8 == 0;
  const auto piece = remote(request, 0, 8, IBV_ACCESS_REMOTE_ATOMIC);
  if (!aligned || !piece) {
    return {.kind = Outcome::kRefused, .syndrome = MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR};
  }
  const bool add = request.op == Op::kFetchAdd;
  std::uint64_t old = 0;
  if (piece->gpu != nullptr) {
    const auto address = reinterpret_cast<std::uint64_t>(piece->address);
    old = piece->gpu->get64(address);
    if (add || old == request.compare) {
      piece->gpu->put64(address, add ? old + request.operand : request.operand);
    }
  } else {
    const std::atomic_ref<std::uint64_t> word(*reinterpret_cast<std::uint64_t*>(piece->address));
    old = request.compare;
    if (add) {
      old = word.fetch_add(request.operand);
    } else {
      word.compare_exchange_strong(old, request.operand);
    }
  }
  answer_now(peer, request, Op::kAtomicResult, 0, old);
  return {.kind = Outcome::kPlaced};
}

/// The bytes of a record are placed, or on their way. False: its answer finds no room; placing it
/// again does no harm.
bool Responder::end_record(Peer& peer, const Message& request, Ticket copies) {
  const bool receives = consumes_receive(request.op);
  if (copies.gpu != nullptr || peer.busy()) {
    peer.add_unfinished({.copies = copies,
                         .answer = request.last,
                         .receive = request.last && receives,
                         .receive_index = next_receive_,
                         .message = request});
    if (!request.last) return true;
  } else {
    if (!request.last) return true;
    if (peer.responses_out.reserve(0) == nullptr) return false;
    if (receives) complete_receive(request, next_receive_);
    if (held_.empty()) {
      answer_now(peer, request, Op::kAck, 0);
    } else {
      owed_ = request;
    }
  }
  if (receives) ++next_receive_;
  end_message();
  return true;
}

void Responder::end_message() {
  in_message_ = false;
  expected_ = (expected_ + 1) & kSequenceMask;
}

void Responder::finish(Peer& peer, const Unfinished& finished) {
  if (!finished.answer) return;
  if (finished.copies.gpu != nullptr && finished.copies.gpu->broken()) {
    answer_now(peer, finished.message, Op::kNak, MLX5_CQE_SYNDROME_REMOTE_OP_ERR);
    qp_.to_error();
    return;
  }
  if (finished.receive) complete_receive(finished.message, finished.receive_index);
  if (held_.empty()) {
    answer_now(peer, finished.message, Op::kAck, 0);
  } else {
    owed_ = finished.message;
  }
}

bool Responder::refuse(Peer& peer, const Message& request, const Outcome& outcome) {
  if (!answer(peer, request, Op::kNak, outcome.syndrome)) return false;
  const Access access{.key = request.rkey,
                      .address = request.remote_address,
                      .bytes = request.message_bytes,
                      .pd = qp_.created().pd};
  const char* region = services_.regions.refusal(access);
  log_line(
      "qp 0x{:06x} refuses a request of qp 0x{:06x}: rkey 0x{:x}, address 0x{:x}, {} bytes: "
      "{}",
      qp_.qpn(), request.from_qpn, request.rkey, request.remote_address, request.message_bytes,
      outcome.why != nullptr ? outcome.why
      : region != nullptr    ? region
                             : "access rights or alignment");
  if (is_send(request.op)) {
    complete_in_error(outcome.syndrome == MLX5_CQE_SYNDROME_REMOTE_OP_ERR
                          ? MLX5_CQE_SYNDROME_LOCAL_PROT_ERR
                          : MLX5_CQE_SYNDROME_LOCAL_LENGTH_ERR);
  }
  qp_.to_error();
  return true;
}

}  // namespace softmlx5
