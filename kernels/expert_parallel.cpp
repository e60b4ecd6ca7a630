// SPDX-License-Identifier: MIT
#include "kernels/expert_parallel.hpp"

#include <utility>

namespace llep {

ExpertParallel::ExpertParallel(Communicator& world, Launcher& launcher, Transport& transport,
                               SymmetricHeap& heap, const EpLayout& layout)
    : launcher_(launcher),
      heap_(heap),
      layout_(layout),
      wire_(transport.wire()),
      rank_(world.rank()) {
  Device& device = heap.device();
  const MoeShape& shape = layout.shape;
  collectively(world, [&] {
    counters_ = device.allocate(2 * sizeof(OpCounters));
    entries_ = device.allocate(static_cast<std::size_t>(shape.capacity()) *
                               static_cast<std::size_t>(shape.num_topk) * sizeof(BookEntry));
    first_entry_ =
        device.allocate((static_cast<std::size_t>(shape.num_ranks) + 1) * sizeof(std::int32_t));
    device.synchronize();
  });
  books_ = {.entries = reinterpret_cast<BookEntry*>(entries_.get()),
            .first_entry = reinterpret_cast<std::int32_t*>(first_entry_.get())};
  // All have drained, nobody has started: the words are nobody's between the two barriers.
  device.fill(heap.base(), 0, layout.routing);
  world.barrier();
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

void ExpertParallel::dispatch(Halves halves, const DispatchInputs& in,
                              const DispatchOutputs& out) {
  advance(dispatch_, halves);
  launcher_.dispatch(halves, wire_,
                     DispatchArgs{.layout = layout_,
                                  .rank = rank_,
                                  .counters = reinterpret_cast<OpCounters*>(counters_.get()),
                                  .in = in,
                                  .out = out,
                                  .books = books_,
                                  .dropped_token = drop_ && sends(halves) ? 0 : -1});
  if (sends(halves)) drop_ = false;
}

void ExpertParallel::combine(Halves halves, const CombineInputs& in, Bf16* out) {
  advance(combine_, halves);
  launcher_.combine(halves, wire_,
                    CombineArgs{.layout = layout_,
                                .rank = rank_,
                                .counters = reinterpret_cast<OpCounters*>(counters_.get()) + 1,
                                .in = in,
                                .books = books_,
                                .out = out,
                                .dropped_entry = drop_ && sends(halves) ? 0 : -1});
  if (sends(halves)) drop_ = false;
}

Bf16* ExpertParallel::expert_output() const {
  if (layout_.expert_output == 0) return nullptr;
  return reinterpret_cast<Bf16*>(heap_.base() + layout_.expert_output);
}

}  // namespace llep
