// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "transport/ibgda/send_queue.hpp"

namespace llep {

/// An entry as the adapter read it.
struct HeardEntry {
  std::uint64_t position = 0;
  std::uint32_t opcode = 0;
  bool asks = false;
  std::uint64_t address = 0;  // of the peer
  std::uint64_t value = 0;    // inline entries: their first eight bytes
  std::uint32_t bytes = 0;
};

struct FakeAdapterOptions {
  int num_queues = 1;
  std::uint32_t depth_log2 = 6;
  std::uint32_t ring_log2 = 8;
  bool shared_register = false;  // of all queues
};

/// Send queues in ordinary memory, and a thread in the adapter's place: it looks at nothing before
/// the register has changed, goes by the send record alone, and writes completions as mlx5dv.h
/// says.
class FakeAdapter {
 public:
  explicit FakeAdapter(const FakeAdapterOptions& options);
  ~FakeAdapter();
  FakeAdapter(const FakeAdapter&) = delete;
  FakeAdapter& operator=(const FakeAdapter&) = delete;

  const SendQueue& queue(int i) const { return table_[static_cast<std::size_t>(i)]; }
  const QueueState& state(int i) const { return at(i).state; }
  /// Complete only once the adapter has stopped.
  const std::vector<HeardEntry>& heard(int i) const { return at(i).heard; }
  std::uint32_t receive_record(int i) const { return at(i).records[0]; }
  std::uint64_t num_doorbells() const { return num_doorbells_; }
  /// The first thing that no adapter would have understood; empty: nothing.
  const std::string& complaint() const { return complaint_; }

  void start();
  void stop();
  /// From then on entries of queue i complete with this syndrome.
  void fail(int i, std::uint8_t syndrome) { at(i).syndrome = syndrome; }

 private:
  struct Queue {
    std::vector<Vec16> ring;
    std::vector<std::uint64_t> marks;
    std::uint32_t records[2] = {};
    std::uint64_t own_register = 0;
    std::vector<std::uint64_t> cqes;  // [entries][8]
    std::uint32_t cq_records[2] = {};
    QueueState state;
    std::uint64_t seen_register = 0;
    std::uint64_t position = 0;
    std::uint64_t completions = 0;
    std::atomic<std::uint8_t> syndrome = 0;
    std::vector<HeardEntry> heard;
  };
  Queue& at(int i) { return *queues_[static_cast<std::size_t>(i)]; }
  const Queue& at(int i) const { return *queues_[static_cast<std::size_t>(i)]; }
  void add_queue(int i);
  void run();
  bool look(int i);
  void carry_out(int i);
  void complete(Queue& queue, const HeardEntry& entry);

  FakeAdapterOptions options_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::vector<SendQueue> table_;
  std::uint64_t num_doorbells_ = 0;
  std::string complaint_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace llep
