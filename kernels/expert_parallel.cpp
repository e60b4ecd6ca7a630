// SPDX-License-Identifier: MIT
#include "kernels/expert_parallel.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace llep {

ExpertParallel::ExpertParallel(Communicator& world, Launcher& launcher, Transport& transport,
                               SymmetricHeap& heap, const EpLayout& layout, bool has_clock)
    : launcher_(launcher),
      heap_(heap),
      layout_(layout),
      wire_(transport.wire()),
      rank_(world.rank()) {
  Device& device = heap.device();
  const MoeShape& shape = layout.shape;
  collectively(world, [&] {
    const auto max_tokens = static_cast<std::size_t>(shape.max_tokens);
    const auto most_entries = static_cast<std::size_t>(layout.most_entries());
    allocate(dispatch_, 1 + layout.routing_pairs() + max_tokens *
                                                   static_cast<std::size_t>(layout.num_parts()));
    allocate(combine_, 1 + most_entries);
    if (has_clock) clocks_ = device.allocate(kNumClocks * num_blocks() * sizeof(BlockClock));
    entries_ = device.allocate(most_entries * sizeof(BookEntry));
    first_entry_ =
        device.allocate((static_cast<std::size_t>(shape.num_ranks) + 1) * sizeof(std::int32_t));
  });
  books_ = {.entries = reinterpret_cast<BookEntry*>(entries_.get()),
            .first_entry = reinterpret_cast<std::int32_t*>(first_entry_.get())};
  // All have drained, nobody has started: the words are nobody's between the two barriers.
  collectively(world, [&] {
    device.fill(heap.base(), 0, layout.words_end());
    transport.zero_arrivals(layout.words_end());
  });
}

void ExpertParallel::allocate(Kind& kind, std::size_t most_items) {
  Device& device = heap_.device();
  kind.blocks = device.allocate(num_blocks() * sizeof(BlockEpochs));
  if (!launcher_.all_resident()) kind.claims = device.allocate(most_items * sizeof(std::uint64_t));
}

OpState ExpertParallel::state(const Kind& kind) const {
  return {.blocks = reinterpret_cast<BlockEpochs*>(kind.blocks.get()),
          .claims = reinterpret_cast<std::uint64_t*>(kind.claims.get()),
          .clock = {clock(clock_)}};
}

std::size_t ExpertParallel::num_blocks() const {
  return static_cast<std::size_t>(launcher_.num_blocks());
}

BlockClock* ExpertParallel::clock(int index) const {
  if (!clocks_ || index < 0) return nullptr;
  return reinterpret_cast<BlockClock*>(clocks_.get()) +
         static_cast<std::size_t>(index) * num_blocks();
}

void ExpertParallel::clear_clocks() {
  if (!clocks_) return;
  heap_.device().fill(clocks_.get(), 0, kNumClocks * num_blocks() * sizeof(BlockClock));
}

BlockTimes ExpertParallel::op_times(int clock_index) const {
  if (!clocks_) return {};
  std::vector<BlockClock> blocks(num_blocks());
  heap_.device().copy(blocks.data(), clock(clock_index), blocks.size() * sizeof(BlockClock));
  BlockClock all;
  for (const BlockClock& one : blocks) {
    all.before_first = std::max(all.before_first, one.before_first);
    all.last_ns = std::max(all.last_ns, one.last_ns);
  }
  return all.times();
}

void ExpertParallel::advance(Kind& kind, Halves halves) {
  const bool starts = sends(halves);
  if (starts == kind.in_flight) {
    throw Error(ExitCode::kInternal,
                std::string(kind.name) + (starts ? ": a second send half before the first's "
                                                   "receive half"
                                                 : ": a receive half without a send half"));
  }
  kind.in_flight = !receives(halves);
}

int ExpertParallel::take_dropped(Halves halves) {
  return sends(halves) ? std::exchange(dropped_, -1) : -1;
}

void ExpertParallel::check_tokens(int num_tokens) const {
  if (num_tokens >= 0 && num_tokens <= layout_.shape.max_tokens) return;
  throw Error(ExitCode::kUsage, "num_tokens: " + std::to_string(num_tokens) + ", but at most " +
                                    std::to_string(layout_.shape.max_tokens) + " fit the heap");
}

void ExpertParallel::dispatch(Halves halves, const DispatchInputs& in,
                              const DispatchOutputs& out) {
  check_tokens(in.num_tokens);
  advance(dispatch_, halves);
  launcher_.dispatch(halves, wire_,
                     DispatchArgs{.layout = layout_,
                                  .rank = rank_,
                                  .state = state(dispatch_),
                                  .in = in,
                                  .out = out,
                                  .books = books_,
                                  .dropped_token = take_dropped(halves)});
}

void ExpertParallel::combine(Halves halves, const CombineInputs& in, Bf16* out) {
  check_tokens(in.num_tokens);
  advance(combine_, halves);
  launcher_.combine(halves, wire_,
                    CombineArgs{.layout = layout_,
                                .rank = rank_,
                                .state = state(combine_),
                                .in = in,
                                .books = books_,
                                .out = out,
                                .dropped_entry = take_dropped(halves)});
}

Bf16* ExpertParallel::expert_output() const {
  if (layout_.expert_output == 0) return nullptr;
  return reinterpret_cast<Bf16*>(heap_.base() + layout_.expert_output);
}

}  // namespace llep
