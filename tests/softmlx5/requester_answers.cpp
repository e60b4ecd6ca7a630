// SPDX-License-Identifier: MIT
// What the requester does with answers, and without them.
#include <infiniband/mlx5dv.h>

#include <algorithm>

#include "tests/softmlx5/clock.hpp"
#include "tests/softmlx5/queue_pair.hpp"
#include "tests/softmlx5/requester.hpp"

namespace softmlx5 {

namespace {

/// Short time-outs would hit busy machines and not dead peers.
constexpr std::uint64_t kLeastSilenceNs = 500 * kMillisecond;
constexpr std::uint64_t kAskAgainNs = 2 * kMillisecond;
constexpr std::uint64_t kSilenceHoldsNs = 50 * kAskAgainNs;
constexpr std::uint32_t kRetryForEver = 7;

/// min_rnr_timer, InfiniBand specification 9.7.5.2.8: 10, 20, 30, 40, 60, 80, 120 ... us; 0 is the
/// longest.
std::uint64_t not_ready_ns(std::uint8_t timer) {
  const unsigned step = timer == 0 ? 32 : timer;
  if (step == 1) return 10 * kMicrosecond;
  return step % 2 == 0 ? (10 * kMicrosecond) << step / 2 : (30 * kMicrosecond) << (step - 3) / 2;
}

const char* refusal(std::uint8_t syndrome) {
  switch (syndrome) {
    case MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR: return "the peer refuses access to its memory";
    case MLX5_CQE_SYNDROME_REMOTE_INVAL_REQ_ERR: return "the peer finds the request invalid";
    default: return "the peer could not carry it out";
  }
}

}  // namespace

bool Requester::awaits(std::uint32_t sequence) const {
  if (!outstanding_.empty()) return outstanding_.front().sequence == sequence;
  return read_ && chunk_ > 0 && sequence_ == sequence;
}

void Requester::acknowledge(std::uint32_t sequence) {
  while (!outstanding_.empty() && sequence_distance(sequence, outstanding_.front().sequence) >= 0) {
    const Outstanding done = outstanding_.front();
    outstanding_.pop_front();
    complete(done);
    silent_since_ = 0;
    not_ready_ = 0;
  }
}

void Requester::on_response(const Message& response, std::uint64_t now) {
  if (!qp_.awaits_answers()) return;
  const std::uint32_t before = (response.sequence - 1) & kSequenceMask;
  switch (response.op) {
    case Op::kAck: acknowledge(response.sequence); break;
    case Op::kReadData:
    case Op::kAtomicResult:
      acknowledge(before);
      take_data(response);
      break;
    case Op::kNotReady:
      acknowledge(before);
      on_not_ready(response, now);
      break;
    case Op::kNak:
      acknowledge(before);
      if (awaits(response.sequence)) fail(response.syndrome, refusal(response.syndrome));
      break;
    default: on_silence(response, now);
  }
}

void Requester::take_data(const Message& response) {
  if (outstanding_.empty() || outstanding_.front().sequence != response.sequence) return;
  const std::uint16_t index = outstanding_.front().index;
  // Its keys may have been taken back since: they are checked again. A half-sent entry is read
  // again afterwards; the ring holds it until it completes.
  const bool half_sent = read_;
  read(index);
  if (entry_.syndrome == 0) {
    const bool is_read = response.op == Op::kReadData;
    const auto* bytes =
        is_read ? response.payload() : reinterpret_cast<const std::byte*>(&response.operand);
    const std::size_t count = is_read ? response.payload_bytes : sizeof response.operand;
    const Ticket copies = scatter(entry_.local, response.offset, bytes, count, response.last);
    if (copies.gpu != nullptr) copies.gpu->wait();
  }
  const std::uint8_t syndrome = entry_.syndrome;
  if (half_sent) read(next_);
  if (syndrome != 0) {
    fail(syndrome, "its local memory may no longer be written");
  } else if (response.last) {
    acknowledge(response.sequence);
  }
}

void Requester::on_not_ready(const Message& response, std::uint64_t now) {
  if (!awaits(response.sequence)) return;  // said before going back
  const std::uint32_t most = qp_.attributes().rnr_retry;
  if (most != kRetryForEver && ++not_ready_ > most) {
    fail(MLX5_CQE_SYNDROME_RNR_RETRY_EXC_ERR, "the peer posted no receive");
    return;
  }
  go_back();
  silent_since_ = 0;
  not_before_ = now + not_ready_ns(response.syndrome);
}

void Requester::on_silence(const Message& response, std::uint64_t now) {
  if (!awaits(response.sequence)) return;
  note_silence(now);
  go_back();
  not_before_ = now + kAskAgainNs;
}

void Requester::note_silence(std::uint64_t now) {
  if (silent_since_ == 0) silent_since_ = now;
  last_silence_ = now;
}

/// ibv_modify_qp(3): 4.096 us * 2^timeout for each try; 0: for ever.
std::uint64_t Requester::most_silence_ns() const {
  const auto& attributes = qp_.attributes();
  const std::uint64_t one = std::uint64_t{4096} << attributes.timeout;
  return std::max(kLeastSilenceNs, one * (attributes.retry_cnt + 1U));
}

void Requester::check_silence(std::uint64_t now) {
  const bool waits = !outstanding_.empty() || next_ != latched_;
  if (!waits) silent_since_ = 0;
  if (!waits || qp_.attributes().timeout == 0) return;
  if (!services_.peers.alive(qp_.peer_slot(), now)) note_silence(now);
  // A peer that has begun to answer, slowly, is not silent.
  const bool silent = silent_since_ != 0 && now - last_silence_ < kSilenceHoldsNs;
  if (!silent || now - silent_since_ < most_silence_ns()) return;
  silent_since_ = 0;
  fail(MLX5_CQE_SYNDROME_TRANSPORT_RETRY_EXC_ERR, "the peer does not answer");
}

}  // namespace softmlx5
