// SPDX-License-Identifier: MIT
#include "tests/softmlx5/completion_queue.hpp"

#include <endian.h>

#include <algorithm>
#include <cstring>

#include "tests/softmlx5/adversary.hpp"
#include "tests/softmlx5/clock.hpp"
#include "tests/softmlx5/log.hpp"

namespace softmlx5 {

namespace {

constexpr std::uint32_t kCountMask = 0xffffff;
constexpr std::uint32_t kSolicitedOnly = 1U << 24;  // in an armed record
// libmlx5's first arm has the value 0, which must differ from what stood there.
constexpr std::uint32_t kNeverArmed = 0xffffffff;

bool is_error(std::uint8_t kind) { return kind == MLX5_CQE_REQ_ERR || kind == MLX5_CQE_RESP_ERR; }

mlx5_cqe64 encode(const Completion& completion) {
  mlx5_cqe64 entry = {};
  entry.srqn_uidx = htobe32(completion.uidx);
  entry.sop_drop_qpn =
      htobe32(static_cast<std::uint32_t>(completion.opcode) << 24 | completion.qpn);
  entry.wqe_counter = htobe16(completion.index);
  if (is_error(completion.kind)) {
    // The syndrome lies where the time stamp would.
    reinterpret_cast<mlx5_err_cqe*>(&entry)->syndrome = completion.syndrome;
    return entry;
  }
  entry.timestamp = htobe64(now_ns());
  entry.byte_cnt = htobe32(completion.bytes);
  entry.imm_inval_pkey = completion.immediate;
  entry.flags_rqpn = htobe32(completion.peer_qpn);
  return entry;
}

}  // namespace

CompletionQueue::CompletionQueue(const Creation& creation, EventChannels& channels)
    : creation_(creation),
      channels_(channels),
      record_(reinterpret_cast<volatile std::uint32_t*>(creation.doorbell_record)),
      last_arm_(kNeverArmed) {
  record_[1] = kNeverArmed;
}

std::uint32_t CompletionQueue::consumed() const { return be32toh(record_[0]) & kCountMask; }

bool CompletionQueue::full() const {
  return ((produced_ - consumed()) & kCountMask) + held_.size() >= creation_.num_entries;
}

void CompletionQueue::push(const Completion& completion) {
  if (held_.empty()) {
    const std::uint64_t hold = adversary().hold_completions_ns();
    if (hold == 0) {
      write(completion);
      return;
    }
    release_at_ = now_ns() + hold;
    most_held_ = adversary().most_held_completions();
  }
  held_.push_back(completion);
}

void CompletionQueue::write(const Completion& completion) {
  if (!overrun_ && ((produced_ - consumed()) & kCountMask) >= creation_.num_entries) {
    overrun_ = true;
    log_line(
        "completion queue 0x{:x} overrun: entry {} of qp 0x{:06x} finds all {} in use; the "
        "consumer index in the doorbell record says {}",
        number(), completion.index, completion.qpn, creation_.num_entries, consumed());
  }
  if (overrun_) return;
  const std::size_t place = produced_ & (creation_.num_entries - 1);
  std::uint64_t address = creation_.buffer + place * creation_.entry_bytes;
  if (creation_.entry_bytes == 128) address += 64;
  auto* entry = reinterpret_cast<mlx5_cqe64*>(address);
  const mlx5_cqe64 content = encode(completion);
  // The owner bit last: it makes the entry the consumer's.
  std::memcpy(static_cast<void*>(entry), &content, offsetof(mlx5_cqe64, op_own));
  const bool odd_round = (produced_ & creation_.num_entries) != 0;
  const auto owner = static_cast<std::uint8_t>(
      completion.kind << 4 | (completion.solicited ? 2 : 0) | (odd_round ? 1 : 0));
  __atomic_store_n(&entry->op_own, owner, __ATOMIC_RELEASE);
  ++produced_;
  if (completion.solicited || is_error(completion.kind)) solicited_ = true;
}

bool CompletionQueue::poll(std::uint64_t now) {
  bool worked = false;
  if (!held_.empty() && (now >= release_at_ || held_.size() >= most_held_)) {
    for (const Completion& completion : held_) write(completion);
    held_.clear();
    worked = true;
  }
  if (creation_.channel >= 0) notify();
  return worked;
}

void CompletionQueue::notify() {
  const std::uint32_t arm = record_[1];
  const std::uint32_t armed = be32toh(arm);
  // Not armed again; nothing newer than what it was armed at; nothing that was not announced.
  if (arm == last_arm_ || ((produced_ ^ armed) & kCountMask) == 0) return;
  if (produced_ == announced_) return;
  if ((armed & kSolicitedOnly) != 0 && !solicited_) return;
  last_arm_ = arm;
  solicited_ = false;
  announced_ = produced_;
  const std::uint64_t event = user_handle();
  if (channels_.send(creation_.channel, &event, sizeof event)) ++events_;
}

void CompletionQueue::forget(std::uint32_t qpn) {
  std::erase_if(held_, [&](const Completion& completion) { return completion.qpn == qpn; });
}

std::uint32_t CompletionQueue::retire_events() {
  if (creation_.channel >= 0 && events_ > 0) {
    events_ -= channels_.withdraw(creation_.channel, user_handle());
  }
  return events_;
}

}  // namespace softmlx5
