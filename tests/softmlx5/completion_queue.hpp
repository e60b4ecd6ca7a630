// SPDX-License-Identifier: MIT
#pragma once

#include <infiniband/mlx5dv.h>

#include <cstddef>
#include <cstdint>
#include <deque>

#include "tests/softmlx5/event_channel.hpp"

namespace softmlx5 {

/// What a completion queue entry tells.
struct Completion {
  std::uint8_t kind = MLX5_CQE_REQ;
  bool solicited = false;
  std::uint8_t syndrome = 0;  // of an error
  std::uint8_t opcode = 0;    // of the request's entry
  std::uint16_t index = 0;    // of the entry's first block, or of the receive
  std::uint32_t qpn = 0;
  std::uint32_t uidx = 0;      // by which libmlx5 finds the queue pair
  std::uint32_t peer_qpn = 0;  // of a message received
  std::uint32_t immediate = 0;
  std::uint32_t bytes = 0;
};

class CompletionQueue {
 public:
  struct Creation {
    const void* owner = nullptr;
    std::uint32_t number = 0;
    std::uint64_t user_handle = 0;
    std::uint64_t buffer = 0;
    std::uint32_t num_entries = 0;  // a power of two
    std::uint32_t entry_bytes = 0;  // 64 or 128
    std::uint64_t doorbell_record = 0;
    int channel = -1;  // where events go; -1: nowhere
  };
  CompletionQueue(const Creation& creation, EventChannels& channels);

  const void* owner() const { return creation_.owner; }
  std::uint32_t number() const { return creation_.number; }
  std::uint64_t user_handle() const { return creation_.user_handle; }
  int channel() const { return creation_.channel; }
  void drop_channel() { creation_.channel = -1; }

  /// Also when it is full: then nothing is written, and overrun() is true from now on.
  void push(const Completion& completion);
  /// Whether it has no room even for an entry that nobody asked for.
  bool full() const;
  /// Writes what was held back and is due, and tells a program that armed the queue.
  bool poll(std::uint64_t now);
  bool overrun() const { return overrun_; }
  /// A queue pair is destroyed: what is held back of it comes no more.
  void forget(std::uint32_t qpn);
  /// Events that the program has read, or will never read.
  std::uint32_t retire_events();

 private:
  void write(const Completion& completion);
  std::uint32_t consumed() const;
  void notify();

  Creation creation_;
  EventChannels& channels_;
  volatile std::uint32_t* record_;  // [0] consumed, [1] armed
  std::uint32_t produced_ = 0;
  bool overrun_ = false;
  // Events
  std::uint32_t last_arm_;
  std::uint32_t announced_ = 0;  // produced_ at the last event
  bool solicited_ = false;
  std::uint32_t events_ = 0;
  // Held back on purpose
  std::deque<Completion> held_;
  std::uint64_t release_at_ = 0;
  std::size_t most_held_ = 0;
};

}  // namespace softmlx5
