// SPDX-License-Identifier: MIT
#include "transport/ibgda/mapped_queues.hpp"

#include <fmt/format.h>

#include <atomic>
#include <bit>
#include <map>

#include "common/error.hpp"

namespace llep {

namespace {

std::uint32_t log2_of(std::uint32_t power_of_two) {
  return static_cast<std::uint32_t>(std::countr_zero(power_of_two));
}

template <class T>
T load(const void* from, std::size_t offset) {
  auto* word =
      const_cast<T*>(reinterpret_cast<const T*>(static_cast<const std::byte*>(from) + offset));
  return std::atomic_ref(*word).load(std::memory_order_acquire);
}

/// What ibv_poll_cq would make of a syndrome (mlx5dv.h, MLX5_CQE_SYNDROME_*).
ibv_wc_status status_of(std::uint32_t syndrome) {
  switch (syndrome) {
    case MLX5_CQE_SYNDROME_LOCAL_LENGTH_ERR: return IBV_WC_LOC_LEN_ERR;
    case MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR: return IBV_WC_LOC_QP_OP_ERR;
    case MLX5_CQE_SYNDROME_LOCAL_PROT_ERR: return IBV_WC_LOC_PROT_ERR;
    case MLX5_CQE_SYNDROME_WR_FLUSH_ERR: return IBV_WC_WR_FLUSH_ERR;
    case MLX5_CQE_SYNDROME_BAD_RESP_ERR: return IBV_WC_BAD_RESP_ERR;
    case MLX5_CQE_SYNDROME_LOCAL_ACCESS_ERR: return IBV_WC_LOC_ACCESS_ERR;
    case MLX5_CQE_SYNDROME_REMOTE_INVAL_REQ_ERR: return IBV_WC_REM_INV_REQ_ERR;
    case MLX5_CQE_SYNDROME_REMOTE_ACCESS_ERR: return IBV_WC_REM_ACCESS_ERR;
    case MLX5_CQE_SYNDROME_REMOTE_OP_ERR: return IBV_WC_REM_OP_ERR;
    case MLX5_CQE_SYNDROME_TRANSPORT_RETRY_EXC_ERR: return IBV_WC_RETRY_EXC_ERR;
    case MLX5_CQE_SYNDROME_RNR_RETRY_EXC_ERR: return IBV_WC_RNR_RETRY_EXC_ERR;
    case MLX5_CQE_SYNDROME_REMOTE_ABORTED_ERR: return IBV_WC_REM_ABORT_ERR;
    default: return IBV_WC_GENERAL_ERR;
  }
}

/// The completion queue from where kernels have read it on; their count is in its record.
class UnreadCompletions {
 public:
  explicit UnreadCompletions(const mlx5dv_cq& cq)
      : cq_(cq), next_(big_endian(load<std::uint32_t>(cq.dbrec, 0)) & 0xffffff) {}

  bool none_read() const { return next_ == 0; }
  /// The next one, if it is there. The adapter goes on writing: who asks twice may be told twice.
  std::optional<CqeTail> tail() const {
    const CqeTail tail{load<std::uint64_t>(entry(), kCqeTailBytes)};
    return tail.is_there(next_, log2_of(cq_.cqe_cnt)) ? std::optional(tail) : std::nullopt;
  }
  CqeSyndrome syndrome() const {
    return CqeSyndrome(load<std::uint64_t>(entry(), kCqeSyndromeBytes));
  }
  void skip() { ++next_; }

 private:
  const std::byte* entry() const {
    return static_cast<const std::byte*>(cq_.buf) + (next_ & (cq_.cqe_cnt - 1)) * kCqeBytes;
  }
  const mlx5dv_cq& cq_;
  std::uint64_t next_;
};

}  // namespace

MappedQueues::MappedQueues(Device& device, const VerbsMesh& mesh, int depth)
    : device_(device),
      depth_log2_(log2_of(static_cast<std::uint32_t>(depth))),
      channels_per_peer_(mesh.channels_per_peer) {
  for (int peer = 0; peer < static_cast<int>(mesh.far.size()); ++peer) {
    for (int channel = 0; channel < channels_per_peer_; ++channel) {
      if (mesh.qp(peer, channel) != nullptr) queues_.push_back(open(mesh, peer, channel));
    }
  }
  map(mesh);
}

std::size_t MappedQueues::index(const Queue& queue) const {
  return static_cast<std::size_t>(queue.peer * channels_per_peer_ + queue.channel);
}

MappedQueues::Queue MappedQueues::open(const VerbsMesh& mesh, int peer, int channel) const {
  Queue queue{.peer = peer, .channel = channel};
  ibv_qp* qp = mesh.qp(peer, channel);
  queue.qpn = qp->qp_num;
  mlx5dv_obj objects = {};
  objects.qp = {.in = qp, .out = &queue.qp};
  objects.cq = {.in = qp->send_cq, .out = &queue.cq};
  const int error = mlx5dv_init_obj(&objects, MLX5DV_OBJ_QP | MLX5DV_OBJ_CQ);
  if (error != 0) fail_verbs("looking into a queue pair of " + mesh.device.name, error);
  const bool known = queue.qp.sq.stride == kWqeBytes && queue.cq.cqe_size == kCqeBytes &&
                     std::has_single_bit(queue.qp.sq.wqe_cnt) &&
                     std::has_single_bit(queue.cq.cqe_cnt);
  if (known && queue.qp.sq.wqe_cnt >> depth_log2_ != 0 && queue.cq.cqe_cnt >> depth_log2_ != 0) {
    return queue;
  }
  throw Error(ExitCode::kUnavailable,
              fmt::format("ibgda: {}: a send queue of {} blocks of {} bytes with {} completions of "
                          "{} bytes is not what kernels can drive",
                          mesh.device.name, queue.qp.sq.wqe_cnt, queue.qp.sq.stride,
                          queue.cq.cqe_cnt, queue.cq.cqe_size));
}

void MappedQueues::map(const VerbsMesh& mesh) {
  const std::size_t num_entries = mesh.far.size() * static_cast<std::size_t>(channels_per_peer_);
  table_.resize(num_entries);
  table_memory_ = device_.allocate(num_entries * sizeof(SendQueue));
  states_ = device_.allocate(queues_.size() * sizeof(QueueState));
  marks_ = device_.allocate((queues_.size() << depth_log2_) * sizeof(std::uint64_t));
  for (std::size_t number = 0; number < queues_.size(); ++number) {
    const Queue& queue = queues_[number];
    SendQueue& mapped = table_[index(queue)] = map(queue, number);
    mapped.far_base = mesh.ranks[static_cast<std::size_t>(queue.peer)].heap_address;
    mapped.rkey = mesh.ranks[static_cast<std::size_t>(queue.peer)].heap_rkey;
  }
  share_registers();
  device_.copy(table_memory_.get(), table_.data(), num_entries * sizeof(SendQueue));
}

std::byte* MappedQueues::keep(Memory memory) {
  mappings_.push_back(std::move(memory));
  return mappings_.back().get();
}

/// In words of mlx5dv.h: the record's second half is that of sends (MLX5_SND_DBR).
SendQueue MappedQueues::map(const Queue& queue, std::size_t number) {
  constexpr std::size_t kRecordBytes = 2 * sizeof(std::uint32_t);
  const auto at = [&](void* address, std::size_t bytes) {
    return keep(device_.map_host(address, bytes));
  };
  auto* states = reinterpret_cast<QueueState*>(states_.get());
  auto* marks = reinterpret_cast<std::uint64_t*>(marks_.get());
  auto* record = reinterpret_cast<std::uint32_t*>(at(queue.qp.dbrec, kRecordBytes));
  return {.entries = reinterpret_cast<Vec16*>(
              at(queue.qp.sq.buf, std::size_t{queue.qp.sq.wqe_cnt} * kWqeBytes)),
          .marks = marks + (number << depth_log2_),
          .record = record + MLX5_SND_DBR,
          .doorbell = reinterpret_cast<std::uint64_t*>(
              keep(device_.map_registers(queue.qp.bf.reg, sizeof(std::uint64_t)))),
          .cqes = at(queue.cq.buf, std::size_t{queue.cq.cqe_cnt} * kCqeBytes),
          .cq_record = reinterpret_cast<std::uint32_t*>(at(queue.cq.dbrec, kRecordBytes)),
          .state = states + number,
          .qpn = queue.qpn,
          .peer = queue.peer,
          .depth_log2 = depth_log2_,
          .ring_log2 = log2_of(queue.qp.sq.wqe_cnt),
          .cqe_log2 = log2_of(queue.cq.cqe_cnt)};
}

void MappedQueues::share_registers() {
  std::map<std::uint64_t*, std::vector<std::size_t>> users;
  for (const Queue& queue : queues_) users[table_[index(queue)].doorbell].push_back(index(queue));
  for (const auto& [doorbell, sharing] : users) {
    for (std::size_t i = 0; i < sharing.size(); ++i) {
      SendQueue& queue = table_[sharing[i]];
      queue.lock = &table_[sharing.front()].state->ringing;
      queue.next = table() + sharing[(i + 1) % sharing.size()];
    }
  }
}

int MappedQueues::num_sharing() const {
  int count = 0;
  for (const Queue& queue : queues_) {
    count += table_[index(queue)].next != table() + index(queue) ? 1 : 0;
  }
  return count;
}

QueueState MappedQueues::state(int peer, int channel) const {
  QueueState state;
  const QueueState* at = table_[index({.peer = peer, .channel = channel})].state;
  if (at != nullptr) device_.copy(&state, at, sizeof state);
  return state;
}

bool MappedQueues::has_completed(int peer) const {
  for (const Queue& queue : queues_) {
    if (queue.peer != peer) continue;
    const UnreadCompletions unread(queue.cq);
    const auto tail = unread.tail();
    if (!unread.none_read() || (tail && !tail->is_error())) return true;
  }
  return false;
}

std::optional<QueueError> MappedQueues::error() const {
  std::optional<QueueError> found;
  for (const Queue& queue : queues_) {
    UnreadCompletions unread(queue.cq);
    auto tail = unread.tail();
    for (; tail && !tail->is_error(); tail = unread.tail()) unread.skip();
    if (!tail) continue;
    const CqeSyndrome what = unread.syndrome();
    QueueError error{.peer = queue.peer,
                     .channel = queue.channel,
                     .qpn = queue.qpn,
                     .opcode = tail->wqe_opcode()};
    error.completion.status = status_of(what.syndrome);
    error.completion.vendor_err = what.vendor;
    if (error.completion.status != IBV_WC_WR_FLUSH_ERR) return error;
    if (!found) found = error;
  }
  return found;
}

void MappedQueues::deafen() {
  std::byte* nowhere = keep(device_.allocate_pinned(sizeof(std::uint64_t)));
  for (SendQueue& queue : table_) {
    queue.doorbell = reinterpret_cast<std::uint64_t*>(nowhere);
    if (queue.state != nullptr) {
      queue.record = reinterpret_cast<std::uint32_t*>(nowhere);
    }
  }
  device_.copy(table_memory_.get(), table_.data(), table_.size() * sizeof(SendQueue));
}

}  // namespace llep
