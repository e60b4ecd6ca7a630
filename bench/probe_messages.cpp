// SPDX-License-Identifier: MIT
#include "bench/probe_messages.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/mix64.hpp"

namespace llep {

namespace {

constexpr std::uint64_t kPoison = ~std::uint64_t{0};
constexpr std::uint64_t kWordBytes = sizeof(std::uint64_t);

}  // namespace

std::uint64_t message_word(std::uint64_t set, int source, std::uint64_t index) {
  // Half of the bits are the index: no two words of a message are the same.
  const std::uint64_t key = mix64(set * kGoldenGamma + static_cast<std::uint64_t>(source));
  return (key ^ mix64(index)) << 32 | (index & 0xffffffffU);
}

ProbeMessages::ProbeMessages(const RankContext& context, const ProbeLayout& layout)
    : context_(context),
      layout_(layout),
      wire_(context.transport.wire()),
      buffer_(layout.window_bytes / kWordBytes) {
  collectively(context.world, [&] {
    context_.device.fill(context_.heap.base(), 0, layout.words_end());
    context_.transport.zero_arrivals(layout.words_end());
  });
}

std::byte* ProbeMessages::window(int source) const {
  return std::visit([&](const auto& wire) { return wire.arrivals(source, layout_.window(source)); },
                    wire_);
}

void ProbeMessages::fill(std::uint64_t set, std::uint64_t bytes) {
  for (std::uint64_t i = 0; i < bytes / kWordBytes; ++i) {
    buffer_[i] = message_word(set, context_.world.rank(), i);
  }
  context_.device.copy(context_.heap.base() + layout_.messages, buffer_.data(), bytes);
}

void ProbeMessages::poison(std::span<const int> sources, std::uint64_t bytes) {
  std::fill(buffer_.begin(), buffer_.end(), kPoison);
  for (const int source : sources) context_.device.copy(window(source), buffer_.data(), bytes);
}

std::optional<WrongMessage> ProbeMessages::check(std::uint64_t set, std::span<const int> sources,
                                                 std::uint64_t bytes) {
  for (const int source : sources) {
    context_.device.copy(buffer_.data(), window(source), bytes);
    for (std::uint64_t i = 0; i < bytes / kWordBytes; ++i) {
      const std::uint64_t expected = message_word(set, source, i);
      if (buffer_[i] == expected) continue;
      return WrongMessage{
          .source = source,
          .text =
              fmt::format("messages of rank {}: byte {} of {}: expected {:#018x}, seen {:#018x}",
                          source, i * kWordBytes, bytes, expected, buffer_[i])};
    }
  }
  return std::nullopt;
}

}  // namespace llep
