// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "tests/softmlx5/gpu.hpp"
#include "tests/softmlx5/message.hpp"

namespace softmlx5 {

/// Positions in bytes; they grow for ever. In shared memory, zero at first.
struct RingControl {
  alignas(64) std::atomic<std::uint64_t> produced;
  alignas(64) std::atomic<std::uint64_t> consumed;
};

/// Records from one process to another. A power of two of bytes.
struct Ring {
  RingControl* control = nullptr;
  std::byte* data = nullptr;
  std::uint32_t bytes = 0;

  Message* at(std::uint64_t position) const {
    return reinterpret_cast<Message*>(data + (position & (bytes - 1)));
  }
};

/// The only writer. Records whose payload a GPU copy still fills are not yet published, nor is
/// anything behind them.
class RingWriter {
 public:
  explicit RingWriter(Ring ring) : ring_(ring), reserved_(ring.control->produced) {}

  /// Room for a record, its header zero but for the sizes; null: none now. Not counted until
  /// committed.
  Message* reserve(std::uint32_t payload_bytes);
  /// The payload is there when `filled` is done.
  void commit(const Message& message, Ticket filled);
  /// Publishes what GPU copies have filled meanwhile.
  void publish();

 private:
  struct Unpublished {
    Ticket filled;
    std::uint64_t end;
  };
  void advance(std::uint32_t bytes, Ticket filled);

  Ring ring_;
  std::uint64_t reserved_;
  std::deque<Unpublished> unpublished_;
};

/// The only reader. What was read stays in the ring until it is released.
class RingReader {
 public:
  explicit RingReader(Ring ring) : ring_(ring), position_(ring.control->consumed) {}

  /// The next record; null: none yet.
  Message* peek();
  void skip(const Message& message) { position_ += message.record_bytes; }
  std::uint64_t position() const { return position_; }
  void release(std::uint64_t position) {
    ring_.control->consumed.store(position, std::memory_order_release);
  }

 private:
  Ring ring_;
  std::uint64_t position_;
};

}  // namespace softmlx5
