// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "transport/field_list.hpp"

namespace llep {

/// What ranks send each other in an exchange. There is always room for one.
inline constexpr std::uint64_t kExchangeBytes = 16 * 1024;

/// Where the messages of probes lie in the symmetric heap, and how they are shared out among warps;
/// the same on every rank.
///
///   arrived   [source][warp]  64-bit epoch: of the last message whose share that warp has sent
///   answered  [source][warp]  the same of answers to a stream
///   gathered  warps that have their share of a message; 64-bit epoch: of the last message of which
///             all have
///   messages  what this rank sends; the home of each share as well
///   windows   [source]        where messages arrive
///
/// A message is cut into chunks, each of which belongs to one warp. Where it has fewer chunks than
/// there are warps, others may have messages of their own under way.
struct ProbeLayout {
  /// Words of different warps share no line.
  static constexpr std::uint64_t kWordStride = 128;

  int num_ranks = 1;
  int num_warps = 1;               // of a rank's grid, as many as every rank has
  std::uint32_t chunk_bytes = 16;  // most that a warp puts at once; a multiple of 16
  std::uint64_t window_bytes = 0;  // of all messages under way from one source

  std::uint64_t arrived = 0;
  std::uint64_t answered = 0;
  std::uint64_t gathered = 0;
  std::uint64_t messages = 0;
  std::uint64_t windows = 0;

  /// Everything before it is zeroed before the first epoch.
  constexpr std::uint64_t words_end() const { return messages; }
  /// `words`: arrived or answered.
  constexpr std::uint64_t word(std::uint64_t words, int source, int warp) const {
    return words + static_cast<std::uint64_t>(source * num_warps + warp) * kWordStride;
  }
  constexpr std::uint64_t window(int source) const {
    return windows + static_cast<std::uint64_t>(source) * window_bytes;
  }

  /// Of a message of so many bytes; 0: it is a signal alone.
  constexpr int num_chunks(std::uint64_t bytes) const {
    return static_cast<int>((bytes + chunk_bytes - 1) / chunk_bytes);
  }
  /// Warps that share a message.
  constexpr int num_sharing(std::uint64_t bytes) const {
    const int chunks = num_chunks(bytes);
    return chunks < 1 ? 1 : chunks < num_warps ? chunks : num_warps;
  }
  /// Messages that may be under way at once.
  constexpr int most_at_once(std::uint64_t bytes) const { return num_warps / num_sharing(bytes); }

  /// The same with smaller chunks: such a message is shared by up to so many warps.
  constexpr ProbeLayout shared_by(int warps, std::uint64_t bytes) const {
    const auto of_each = (bytes / 16 + static_cast<std::uint64_t>(warps) - 1) /
                         static_cast<std::uint64_t>(warps) * 16;
    ProbeLayout layout = *this;
    if (of_each < chunk_bytes) layout.chunk_bytes = static_cast<std::uint32_t>(of_each);
    return layout;
  }
};

struct ProbeAxes {
  int num_ranks = 1;
  int num_warps = 1;
  std::uint32_t chunk_bytes = 16;
  std::vector<std::uint64_t> sizes;  // of messages, bytes; multiples of 16, or 0
};

/// The layout and the list it was made from.
struct PlannedProbes {
  ProbeLayout layout;
  FieldList fields;
};
PlannedProbes plan_probes(const ProbeAxes& axes);

}  // namespace llep
