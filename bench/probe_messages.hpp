// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/case_run.hpp"
#include "kernels/probe_layout.hpp"

namespace llep {

/// A message that is not what was sent.
struct WrongMessage {
  int source = 0;
  std::string text = {};
};

/// The bytes of one transport's probes on one rank: what is sent, and what has arrived.
class ProbeMessages {
 public:
  /// Collective. All have drained, nobody has started: zeroes the words.
  ProbeMessages(const RankContext& context, const ProbeLayout& layout);

  const ProbeLayout& layout() const { return layout_; }

  /// This rank's messages become those of set number `set`, `bytes` of them.
  void fill(std::uint64_t set, std::uint64_t bytes);
  /// What arrived from the sources becomes what nobody sends.
  void poison(std::span<const int> sources, std::uint64_t bytes);
  /// The first 8 bytes of a source's window that are not those of its set.
  std::optional<WrongMessage> check(std::uint64_t set, std::span<const int> sources,
                                    std::uint64_t bytes);

 private:
  std::byte* window(int source) const;

  RankContext context_;
  ProbeLayout layout_;
  AnyWire wire_;
  std::vector<std::uint64_t> buffer_;  // [window_bytes / 8]
};

/// What word number `index` of a rank's messages holds.
std::uint64_t message_word(std::uint64_t set, int source, std::uint64_t index);

}  // namespace llep
