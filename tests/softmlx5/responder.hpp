// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "tests/softmlx5/memory.hpp"
#include "tests/softmlx5/message.hpp"
#include "tests/softmlx5/peer.hpp"

namespace softmlx5 {

class QueuePair;
struct Services;

struct ReceiveQueue {
  const std::byte* buffer = nullptr;
  std::uint32_t num_entries = 0;  // a power of two, or 0
  std::uint32_t entry_shift = 0;
};

/// The receiving side: checks requests, moves their bytes, answers them, in order.
class Responder {
 public:
  Responder(QueuePair& qp, const Services& services) : qp_(qp), services_(services) {}

  void reset();
  /// Number of the first message expected.
  void start(std::uint32_t sequence);
  /// False: it must stay in the ring for now.
  bool on_request(Peer& peer, const Message& request);
  /// The copies of a request are done.
  void finish(Peer& peer, const Unfinished& finished);
  /// Writes that were held back on purpose and are due.
  void poll(std::uint64_t now);
  /// All that was held back. False: its answer finds no room.
  bool settle();
  void flush();

  /// To a request for a queue pair that does not exist. False: no room.
  static bool answer_for_nobody(Peer& peer, const Message& request) {
    return !peer.busy() && answer_now(peer, request, Op::kSilence, 0);
  }

 private:
  struct HeldWrite {
    Piece piece;
    std::vector<std::byte> bytes;
  };
  /// What became of a request's bytes.
  struct Outcome {
    enum Kind { kPlaced, kLater, kRefused } kind = kLater;
    Ticket copies = {};
    std::uint8_t syndrome = 0;
    const char* why = nullptr;
  };
  static bool is_send(Op op) {
    return op == Op::kSend || op == Op::kSendImmediate || op == Op::kSendInvalidate;
  }
  static bool consumes_receive(Op op) { return is_send(op) || op == Op::kWriteImmediate; }

  bool on_unexpected(Peer& peer, const Message& request);
  bool begin(Peer& peer, const Message& request);
  Outcome carry_out(Peer& peer, const Message& request);
  Outcome write(Peer& peer, const Message& request);
  Outcome receive(Peer& peer, const Message& request);
  Outcome read(Peer& peer, const Message& request);
  Outcome atomic(Peer& peer, const Message& request);
  bool end_record(Peer& peer, const Message& request, Ticket copies);
  bool refuse(Peer& peer, const Message& request, const Outcome& outcome);
  bool hold(const Piece& piece, const Message& request);
  void end_message();

  bool answer(Peer& peer, const Message& request, Op op, std::uint8_t syndrome = 0);
  static bool answer_now(Peer& peer, const Message& request, Op op, std::uint8_t syndrome,
                         std::uint64_t result = 0);
  std::optional<Piece> remote(const Message& request, std::uint64_t offset, std::uint32_t bytes,
                              std::uint32_t rights) const;
  bool has_receive() const;
  /// False: its keys, bounds or rights are wrong.
  bool posted_receive(PieceList& pieces) const;
  void complete_receive(const Message& request, std::uint16_t index);
  void complete_in_error(std::uint8_t syndrome);

  QueuePair& qp_;
  const Services& services_;
  std::uint32_t expected_ = 0;
  bool in_message_ = false;
  std::uint16_t next_receive_ = 0;
  std::uint32_t read_offset_ = 0;  // of the answer under way

  std::vector<HeldWrite> held_;
  std::uint64_t release_at_ = 0;
  std::optional<Message> owed_;  // the last message that waits for its answer behind held writes
};

}  // namespace softmlx5
