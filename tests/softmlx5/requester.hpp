// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "tests/softmlx5/message.hpp"
#include "tests/softmlx5/peer.hpp"
#include "tests/softmlx5/work_entry.hpp"

namespace softmlx5 {

class QueuePair;
struct Services;

/// The sending side: reads entries once their doorbell rang, sends them in order, completes them in
/// order when the other side acknowledges them, and goes back to the first that it refused for now.
class Requester {
 public:
  Requester(QueuePair& qp, const Services& services) : qp_(qp), services_(services) {}

  void reset();
  /// Number of the first message.
  void start(std::uint32_t sequence);

  /// The doorbell register was written: what the send doorbell record says now may be sent.
  void ring(std::uint64_t now);
  /// Whether the doorbell record says more than rang.
  bool behind() const { return latched_ != posted(); }
  /// Nothing is sent before.
  void postpone(std::uint64_t until) { not_before_ = std::max(not_before_, until); }
  /// True: there was something to do.
  bool send(std::uint64_t now);
  void on_response(const Message& response, std::uint64_t now);
  /// Gives up when the other side was silent for too long.
  void check_silence(std::uint64_t now);
  /// Completes everything rung for with flush errors.
  void flush();
  /// Ends the oldest entry under way in this error, and the rest in flush errors.
  void fail(std::uint8_t syndrome, const char* what);

 private:
  struct Outstanding {
    std::uint32_t sequence = 0;
    std::uint16_t index = 0;
    std::uint8_t opcode = 0;
    bool signaled = false;
    std::uint32_t bytes = 0;
  };
  std::uint16_t posted() const;
  std::uint16_t oldest_index() const;
  void read(std::uint16_t index);
  void begin_entry();
  bool step(std::uint64_t now);
  bool send_chunks(std::uint64_t now);
  Message* write_chunk(Peer& peer);
  bool refuse_entry();
  bool finish_nop();
  void finish_entry(std::uint64_t now);
  bool is_wrong();

  bool awaits(std::uint32_t sequence) const;
  void acknowledge(std::uint32_t sequence);
  void take_data(const Message& response);
  void on_not_ready(const Message& response, std::uint64_t now);
  void on_silence(const Message& response, std::uint64_t now);
  void note_silence(std::uint64_t now);
  void go_back();
  std::uint64_t most_silence_ns() const;

  void complete(const Outstanding& done);
  void complete_in_error(std::uint16_t index, std::uint8_t opcode, std::uint8_t syndrome);

  QueuePair& qp_;
  const Services& services_;
  std::uint16_t latched_ = 0;  // blocks rung for
  std::uint16_t next_ = 0;     // block of the entry to be sent next
  std::uint32_t first_sequence_ = 0;
  std::uint32_t sequence_ = 0;  // of that entry
  std::deque<Outstanding> outstanding_;
  std::uint64_t not_before_ = 0;
  std::uint32_t doorbells_ = 0;

  // The entry at next_, once it is read.
  bool read_ = false;
  WorkEntry entry_;
  std::uint32_t chunk_bytes_ = 0;
  std::uint32_t num_chunks_ = 1;
  std::uint32_t chunk_ = 0;

  std::uint64_t silent_since_ = 0;  // 0: not
  std::uint64_t last_silence_ = 0;
  std::uint32_t not_ready_ = 0;  // answers in a row
};

}  // namespace softmlx5
