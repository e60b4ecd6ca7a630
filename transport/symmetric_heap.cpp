// SPDX-License-Identifier: MIT
#include "transport/symmetric_heap.hpp"

#include "common/exec/model.hpp"

namespace llep {

namespace {

/// Adapters are given whole pages: the largest that hosts have.
constexpr std::uint64_t kPage = 64 * 1024;

}  // namespace

SymmetricHeap::SymmetricHeap(Communicator& world, Device& device, std::uint64_t bytes,
                             const std::vector<bool>& near)
    : device_(device), rank_(world.rank()), bases_(near.size()) {
  std::optional<Error> failure;
  try {
    collectively(world,
                 [&] { memory_ = device.allocate_shared(round_up(bytes, kPage), handle_); });
    bases_[static_cast<std::size_t>(rank_)] = memory_.get();
    map(world, near);
  } catch (const Error& error) {
    failure = error;
  }
  // All have opened it, or failed to: nothing of its name stays behind.
  device.close_shared_name(handle_);
  if (failure && !not_mapped_) throw *failure;
}

void SymmetricHeap::map(Communicator& world, const std::vector<bool>& near) {
  const auto handles = gather_all(world, handle_);
  try {
    collectively(world, [&] {
      for (std::size_t peer = 0; peer < near.size(); ++peer) {
        if (!near[peer] || static_cast<int>(peer) == rank_) continue;
        peers_.push_back(device_.open_shared(handles[peer]));
        bases_[peer] = peers_.back().get();
      }
    });
  } catch (const Error& error) {
    if (error.code() == ExitCode::kUnavailable) not_mapped_ = error;
    throw;
  }
}

std::vector<std::byte*> SymmetricHeap::mapped(const std::vector<bool>& near) const {
  std::vector<std::byte*> bases(bases_.size());
  for (std::size_t peer = 0; peer < bases.size(); ++peer) {
    const bool own = static_cast<int>(peer) == rank_;
    if (near[peer] && !own && not_mapped_) throw *not_mapped_;
    if (near[peer] || own) bases[peer] = bases_[peer];
  }
  return bases;
}

}  // namespace llep
