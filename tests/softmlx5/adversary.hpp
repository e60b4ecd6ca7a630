// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "tests/softmlx5/options.hpp"

namespace softmlx5 {

/// Decides, from a seed, what the twin does worse than it could while staying within what RDMA
/// promises. Without modes every decision is the polite one. README.md has a line for each mode.
class Adversary {
 public:
  explicit Adversary(const AdversaryOptions& options) : options_(options), random_(options.seed) {}

  /// Processes of one seed shall not do the same at the same time.
  void tell_slot(int slot) { random_ ^= static_cast<std::uint64_t>(slot) << 32; }

  /// Chunks of a message in another order; the last stays last.
  bool splits() const { return options_.split; }
  /// Size of its chunks; `fallback` if it does not split.
  std::uint32_t chunk_bytes(std::uint32_t message_bytes, std::uint32_t fallback);
  /// Which chunk comes i-th, of `count`; `key` is one message's.
  std::uint32_t chunk(std::uint32_t i, std::uint32_t count, std::uint64_t key) const;

  /// How long the next chunk lets wait for itself.
  std::uint64_t pause_ns();

  /// When a doorbell or an entry may be served.
  std::uint64_t serve_doorbell_at(std::uint64_t now);
  std::uint64_t serve_next_entry_at(std::uint64_t now);
  /// How long a queue pair is passed over; 0: it is served.
  std::uint64_t pass_over_ns();
  /// The order in which n queue pairs are served.
  void shuffle(std::vector<std::uint32_t>& order);

  /// How long completions are held back, and how many at most; 0: not at all.
  std::uint64_t hold_completions_ns();
  std::size_t most_held_completions();
  /// How long a plain write to a region with relaxed ordering is held back, while later ones pass.
  std::uint64_t hold_write_ns();

  bool fails_entry(std::uint32_t ordinal) const { return ordinal == options_.error_after; }
  bool drops_doorbell(std::uint32_t ordinal) const { return ordinal == options_.drop_doorbell; }

 private:
  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }

  AdversaryOptions options_;
  std::uint64_t random_;
};

/// This process's.
Adversary& adversary();

}  // namespace softmlx5
