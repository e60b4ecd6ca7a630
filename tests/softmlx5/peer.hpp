// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <deque>
#include <memory>

#include "tests/softmlx5/fabric.hpp"
#include "tests/softmlx5/ring.hpp"

namespace softmlx5 {

/// A request whose payload GPU copies still read from the ring: it is neither released nor answered
/// before they are done, nor is anything behind it.
struct Unfinished {
  Ticket copies;
  std::uint64_t end = 0;  // where the record ends in the ring
  bool answer = false;    // it ends a message
  bool receive = false;   // which completes a receive
  std::uint16_t receive_index = 0;
  Message message;
};

/// The rings between this process and another one, or itself.
class Peer {
 public:
  Peer(const Fabric& fabric, int slot)
      : requests_out(fabric.requests(fabric.slot(), slot)),
        responses_out(fabric.responses(fabric.slot(), slot)),
        requests_in(fabric.requests(slot, fabric.slot())),
        responses_in(fabric.responses(slot, fabric.slot())),
        slot_(slot) {}

  RingWriter requests_out;
  RingWriter responses_out;
  RingReader requests_in;
  RingReader responses_in;

  int slot() const { return slot_; }
  bool busy() const { return !unfinished_.empty(); }
  /// Whether a write to this memory (a GPU's, or null: the host's) keeps its order without waiting.
  bool in_order_with(const Gpu* gpu) const;
  void add_unfinished(Unfinished unfinished);
  /// The next one whose copies are done; null: none.
  const Unfinished* next_finished() const;
  void pop_finished();
  /// The record was dealt with, or will be with the unfinished ones before it.
  void consume(const Message& message);

 private:
  int slot_;
  std::deque<Unfinished> unfinished_;
};

/// By slot.
class Peers {
 public:
  explicit Peers(const Fabric& fabric) : fabric_(fabric) {}

  Peer& at(int slot);
  /// Looked up from time to time only.
  bool alive(int slot, std::uint64_t now);

 private:
  struct Place {
    std::unique_ptr<Peer> peer;
    std::uint64_t looked_at = 0;
    bool alive = true;
  };
  const Fabric& fabric_;
  std::array<Place, kMaxSlots> places_;
};

}  // namespace softmlx5
