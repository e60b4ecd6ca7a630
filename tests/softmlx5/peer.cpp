// SPDX-License-Identifier: MIT
#include "tests/softmlx5/peer.hpp"

#include <utility>

#include "tests/softmlx5/clock.hpp"

namespace softmlx5 {

namespace {

constexpr std::uint64_t kLookAgainNs = 20 * kMillisecond;

}  // namespace

bool Peer::in_order_with(const Gpu* gpu) const {
  for (auto it = unfinished_.rbegin(); it != unfinished_.rend(); ++it) {
    if (it->copies.gpu != nullptr) return it->copies.gpu == gpu;
  }
  return true;
}

void Peer::add_unfinished(Unfinished unfinished) { unfinished_.push_back(std::move(unfinished)); }

const Unfinished* Peer::next_finished() const {
  return busy() && unfinished_.front().copies.done() ? &unfinished_.front() : nullptr;
}

void Peer::pop_finished() {
  requests_in.release(unfinished_.front().end);
  unfinished_.pop_front();
}

void Peer::consume(const Message& message) {
  requests_in.skip(message);
  if (busy()) {
    unfinished_.back().end = requests_in.position();
  } else {
    requests_in.release(requests_in.position());
  }
}

Peer& Peers::at(int slot) {
  auto& peer = places_[static_cast<std::size_t>(slot)].peer;
  if (!peer) peer = std::make_unique<Peer>(fabric_, slot);
  return *peer;
}

bool Peers::alive(int slot, std::uint64_t now) {
  Place& place = places_[static_cast<std::size_t>(slot)];
  if (now - place.looked_at >= kLookAgainNs) {
    place.looked_at = now;
    place.alive = fabric_.alive(slot);
  }
  return place.alive;
}

}  // namespace softmlx5
