// SPDX-License-Identifier: MIT
#include "tests/softmlx5/adversary.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/mix64.hpp"
#include "tests/softmlx5/clock.hpp"

namespace softmlx5 {

namespace {

constexpr std::uint32_t kLeastChunk = 64;
constexpr std::uint32_t kMostChunks = 64;

}  // namespace

std::uint64_t Adversary::next() { return llep::mix64(random_ += llep::kGoldenGamma); }

std::uint32_t Adversary::chunk_bytes(std::uint32_t message_bytes, std::uint32_t fallback) {
  if (!options_.split) return fallback;
  const std::uint32_t even = message_bytes / kMostChunks / kLeastChunk * kLeastChunk + kLeastChunk;
  const auto times = static_cast<std::uint32_t>(1 + below(4));
  return std::min(even * times, fallback);
}

std::uint32_t Adversary::chunk(std::uint32_t i, std::uint32_t count, std::uint64_t key) const {
  if (!options_.split || count <= 2 || i == count - 1) return i;
  // i -> a i + b is a permutation modulo n when a has no factor in common with n.
  const std::uint64_t n = count - 1;
  const std::uint64_t random = llep::mix64(options_.seed ^ llep::mix64(key));
  std::uint64_t a = 1 + random % n;
  while (std::gcd(a, n) != 1) ++a;
  return static_cast<std::uint32_t>((a * i + (random >> 32)) % n);
}

std::uint64_t Adversary::serve_doorbell_at(std::uint64_t now) {
  return options_.delay ? now + below(2 * kMillisecond) : now;
}

std::uint64_t Adversary::serve_next_entry_at(std::uint64_t now) {
  if (options_.stall && below(128) == 0) return now + (20 + below(60)) * kMillisecond;
  if (options_.delay && below(4) == 0) return now + below(kMillisecond);
  return now;
}

std::uint64_t Adversary::pause_ns() {
  return options_.split && below(8) == 0 ? below(300 * kMicrosecond) : 0;
}

std::uint64_t Adversary::pass_over_ns() {
  return options_.interleave && below(2) == 0 ? below(300 * kMicrosecond) : 0;
}

void Adversary::shuffle(std::vector<std::uint32_t>& order) {
  if (!options_.interleave) return;
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[below(i)]);
}

std::uint64_t Adversary::hold_completions_ns() {
  return options_.completions ? below(4 * kMillisecond) : 0;
}

std::size_t Adversary::most_held_completions() { return options_.completions ? 1 + below(32) : 0; }

std::uint64_t Adversary::hold_write_ns() {
  return options_.relaxed && below(2) == 0 ? kMillisecond / 10 + below(2 * kMillisecond) : 0;
}

Adversary& adversary() {
  static auto* const instance = new Adversary(options().adversary);
  return *instance;
}

}  // namespace softmlx5
