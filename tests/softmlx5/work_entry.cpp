// SPDX-License-Identifier: MIT
#include "tests/softmlx5/work_entry.hpp"

#include <endian.h>
#include <infiniband/mlx5dv.h>

#include <cstring>

#include "tests/softmlx5/log.hpp"

namespace softmlx5 {

namespace {

constexpr std::uint32_t kInlineBytesMask = 0x3ff;
constexpr std::uint32_t kMostSegments = 63;

Op op_of(std::uint8_t opcode) {
  switch (opcode) {
    case MLX5_OPCODE_NOP: return Op::kNop;
    case MLX5_OPCODE_SEND: return Op::kSend;
    case MLX5_OPCODE_SEND_IMM: return Op::kSendImmediate;
    case MLX5_OPCODE_SEND_INVAL: return Op::kSendInvalidate;
    case MLX5_OPCODE_RDMA_WRITE: return Op::kWrite;
    case MLX5_OPCODE_RDMA_WRITE_IMM: return Op::kWriteImmediate;
    case MLX5_OPCODE_RDMA_READ: return Op::kRead;
    case MLX5_OPCODE_ATOMIC_CS: return Op::kCompareSwap;
    case MLX5_OPCODE_ATOMIC_FA: return Op::kFetchAdd;
    default: return Op::kFiller;
  }
}

bool is_atomic(Op op) { return op == Op::kCompareSwap || op == Op::kFetchAdd; }
bool has_remote_address(Op op) {
  return op == Op::kWrite || op == Op::kWriteImmediate || op == Op::kRead || is_atomic(op);
}

/// Walks the segments of an entry; stops at the first that is wrong.
class EntryReader {
 public:
  EntryReader(WorkEntry& entry, const EntryOwner& owner) : entry_(entry), owner_(owner) {}

  void read(const SendQueue& queue);

 private:
  template <class... Arguments>
  bool refuse(std::uint8_t syndrome, fmt::format_string<Arguments...> format,
              Arguments&&... arguments) {
    entry_.syndrome = syndrome;
    entry_.problem = fmt::format(format, std::forward<Arguments>(arguments)...);
    return false;
  }
  bool read_control(const SendQueue& queue);
  bool read_remote();
  bool read_atomic();
  bool read_data();
  bool read_inline(std::uint32_t bytes);
  bool read_pointer();
  bool check_length();
  /// The next segment; null (and refused): the entry's ds says there is none.
  template <class Segment>
  const Segment* take(const char* what);

  WorkEntry& entry_;
  const EntryOwner& owner_;
  std::uint32_t at_ = 0;
  std::uint32_t end_ = 0;
};

template <class Segment>
const Segment* EntryReader::take(const char* what) {
  if (end_ - at_ < sizeof(Segment)) {
    refuse(MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR, "ds {} leaves no room for its {} segment",
           end_ / kSegmentBytes, what);
    return nullptr;
  }
  const auto* segment = reinterpret_cast<const Segment*>(entry_.raw.data() + at_);
  at_ += static_cast<std::uint32_t>(sizeof(Segment));
  return segment;
}

bool EntryReader::read_control(const SendQueue& queue) {
  const auto* head = reinterpret_cast<const mlx5_wqe_ctrl_seg*>(queue.block(entry_.index));
  const std::uint32_t ds = be32toh(head->qpn_ds) & 0xff;
  const bool fits = ds > 0 && ds <= kMostSegments;
  if (fits) entry_.num_blocks = (ds * kSegmentBytes + kBlockBytes - 1) / kBlockBytes;
  // The queue's end may lie in the middle of the entry.
  for (std::uint32_t i = 0; i < entry_.num_blocks; ++i) {
    std::memcpy(entry_.raw.data() + i * kBlockBytes, queue.block(entry_.index + i), kBlockBytes);
  }
  end_ = fits ? ds * kSegmentBytes : kSegmentBytes;
  const auto& control = *take<mlx5_wqe_ctrl_seg>("control");
  const std::uint32_t first = be32toh(control.opmod_idx_opcode);
  const std::uint32_t second = be32toh(control.qpn_ds);
  entry_.opcode = static_cast<std::uint8_t>(first);
  entry_.op = op_of(entry_.opcode);
  entry_.signaled = (control.fm_ce_se & MLX5_WQE_CTRL_CQ_UPDATE) == MLX5_WQE_CTRL_CQ_UPDATE;
  entry_.solicited = (control.fm_ce_se & MLX5_WQE_CTRL_SOLICITED) != 0;
  entry_.immediate = control.imm;
  constexpr auto kWrong = MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR;
  if (!fits) return refuse(kWrong, "ds {} is none of 1 to {}", ds, kMostSegments);
  const auto index = static_cast<std::uint16_t>(first >> 8);
  if (index != entry_.index) {
    return refuse(kWrong, "its control segment says index {}: not written yet, or overwritten",
                  index);
  }
  if (second >> 8 != owner_.qpn) {
    return refuse(kWrong, "its control segment says qp 0x{:06x}", second >> 8);
  }
  if (entry_.op == Op::kFiller) return refuse(kWrong, "unknown opcode 0x{:02x}", entry_.opcode);
  return true;
}

bool EntryReader::read_remote() {
  const auto* segment = take<mlx5_wqe_raddr_seg>("remote address");
  if (segment == nullptr) return false;
  entry_.remote_address = be64toh(segment->raddr);
  entry_.rkey = be32toh(segment->rkey);
  return true;
}

bool EntryReader::read_atomic() {
  const auto* segment = take<mlx5_wqe_atomic_seg>("atomic");
  if (segment == nullptr) return false;
  entry_.operand = be64toh(segment->swap_add);
  entry_.compare = be64toh(segment->compare);
  return true;
}

bool EntryReader::read_inline(std::uint32_t bytes) {
  const std::uint32_t padded = (4 + bytes + kSegmentBytes - 1) / kSegmentBytes * kSegmentBytes;
  if (entry_.fetches() || end_ - at_ < padded) {
    return refuse(MLX5_CQE_SYNDROME_LOCAL_QP_OP_ERR, "{} inline bytes in an entry of ds {}", bytes,
                  end_ / kSegmentBytes);
  }
  entry_.local.add({.address = entry_.raw.data() + at_ + 4, .bytes = bytes});
  at_ += padded;
  return true;
}

bool EntryReader::read_pointer() {
  const auto* segment = take<mlx5_wqe_data_seg>("data");
  if (segment == nullptr) return false;
  const Access access{
      .key = be32toh(segment->lkey),
      .address = be64toh(segment->addr),
      .bytes = be32toh(segment->byte_count),
      .rights = entry_.fetches() ? static_cast<std::uint32_t>(IBV_ACCESS_LOCAL_WRITE) : 0,
      .pd = owner_.pd};
  if (access.bytes == 0) return true;
  const auto piece = owner_.regions.translate(access);
  if (!piece) {
    return refuse(MLX5_CQE_SYNDROME_LOCAL_PROT_ERR, "lkey 0x{:x}, address 0x{:x}, {} bytes: {}",
                  access.key, access.address, access.bytes, owner_.regions.refusal(access));
  }
  entry_.local.add(*piece);
  return true;
}

bool EntryReader::read_data() {
  while (at_ < end_) {
    std::uint32_t count = 0;
    std::memcpy(&count, entry_.raw.data() + at_, sizeof count);
    count = be32toh(count);
    const bool good =
        (count & MLX5_INLINE_SEG) != 0 ? read_inline(count & kInlineBytesMask) : read_pointer();
    if (!good) return false;
  }
  return true;
}

bool EntryReader::check_length() {
  const std::uint64_t bytes = entry_.local.bytes();
  if (bytes > kMaxMessageBytes) {
    return refuse(MLX5_CQE_SYNDROME_LOCAL_LENGTH_ERR, "{} bytes in one message", bytes);
  }
  if (is_atomic(entry_.op) && bytes != 8) {
    return refuse(MLX5_CQE_SYNDROME_LOCAL_LENGTH_ERR, "an atomic of {} bytes", bytes);
  }
  return true;
}

void EntryReader::read(const SendQueue& queue) {
  if (!read_control(queue) || entry_.op == Op::kNop) return;
  if (has_remote_address(entry_.op) && !read_remote()) return;
  if (is_atomic(entry_.op) && !read_atomic()) return;
  if (read_data()) check_length();
}

}  // namespace

void read_entry(WorkEntry& entry, const SendQueue& queue, std::uint16_t index,
                const EntryOwner& owner) {
  entry.index = index;
  entry.num_blocks = 1;
  entry.local = {};
  entry.syndrome = 0;
  entry.problem.clear();
  EntryReader(entry, owner).read(queue);
}

}  // namespace softmlx5
