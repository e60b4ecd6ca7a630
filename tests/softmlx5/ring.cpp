// SPDX-License-Identifier: MIT
#include "tests/softmlx5/ring.hpp"

namespace softmlx5 {

namespace {

constexpr std::size_t kMostUnpublished = 256;

}  // namespace

Message* RingWriter::reserve(std::uint32_t payload_bytes) {
  if (unpublished_.size() >= kMostUnpublished) return nullptr;
  const auto align = static_cast<std::uint32_t>(alignof(Message));
  const auto record =
      static_cast<std::uint32_t>(sizeof(Message)) + (payload_bytes + align - 1) / align * align;
  const auto to_end = ring_.bytes - static_cast<std::uint32_t>(reserved_ & (ring_.bytes - 1));
  const std::uint32_t filler = record > to_end ? to_end : 0;
  const std::uint64_t used = reserved_ - ring_.control->consumed.load(std::memory_order_acquire);
  if (ring_.bytes - used < filler + record) return nullptr;
  if (filler > 0) {
    *ring_.at(reserved_) = Message{.record_bytes = filler};
    advance(filler, {});
  }
  Message* message = ring_.at(reserved_);
  *message = Message{.record_bytes = record, .payload_bytes = payload_bytes};
  return message;
}

void RingWriter::commit(const Message& message, Ticket filled) {
  advance(message.record_bytes, filled);
  if (filled.gpu != nullptr) filled.gpu->submit_if_large();
}

void RingWriter::advance(std::uint32_t bytes, Ticket filled) {
  reserved_ += bytes;
  if (filled.gpu != nullptr) {
    unpublished_.push_back({filled, reserved_});
  } else if (!unpublished_.empty()) {
    unpublished_.back().end = reserved_;
  } else {
    ring_.control->produced.store(reserved_, std::memory_order_release);
  }
}

void RingWriter::publish() {
  for (; !unpublished_.empty() && unpublished_.front().filled.done(); unpublished_.pop_front()) {
    ring_.control->produced.store(unpublished_.front().end, std::memory_order_release);
  }
}

Message* RingReader::peek() {
  const std::uint64_t produced = ring_.control->produced.load(std::memory_order_acquire);
  while (position_ != produced) {
    Message* message = ring_.at(position_);
    if (message->op != Op::kFiller) return message;
    skip(*message);
  }
  return nullptr;
}

}  // namespace softmlx5
