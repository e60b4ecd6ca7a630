// SPDX-License-Identifier: MIT
#include "kernels/layout.hpp"

#include <algorithm>

namespace llep {

namespace {

constexpr std::uint64_t kBuffers = 2;  // by parity of the epoch

/// A warp that quantises is slower than the wire: fp8 rows are shared out among several, in whole
/// groups of columns.
int num_parts(const EpAxes& axes) {
  const int wanted = axes.dtype == DispatchDtype::kFp8 ? 4 : 1;
  int parts = 1;
  while (parts < wanted && axes.shape.hidden / kScaleGroup % (2 * parts) == 0) parts *= 2;
  return parts;
}

EpLayout sizes_of(const EpAxes& axes) {
  EpLayout layout;
  layout.shape = axes.shape;
  layout.dtype = axes.dtype;
  layout.local_experts = Divisor(axes.shape.num_local_experts());
  layout.capacity = Divisor(static_cast<int>(axes.shape.capacity()));
  layout.tokens = Divisor(axes.shape.max_tokens);
  layout.slots =
      Divisor(axes.copies == DispatchCopies::kRank
                  ? 1
                  : std::min(axes.shape.num_topk, axes.shape.num_local_experts()));
  layout.parts = Divisor(num_parts(axes));
  layout.pairs = Divisor(divide_up(axes.shape.max_tokens * axes.shape.num_topk, 4));
  const auto columns = static_cast<std::uint32_t>(layout.part_columns());
  const bool fp8 = axes.dtype == DispatchDtype::kFp8;
  layout.part_bytes = columns * static_cast<std::uint32_t>(fp8 ? sizeof(Fp8) : sizeof(Bf16));
  if (fp8) {
    layout.part_scale_bytes =
        static_cast<std::uint32_t>(round_up(columns / kScaleGroup * sizeof(float), 16));
  }
  layout.part_groups = Divisor(layout.part_columns() / kScaleGroup);
  return layout;
}

struct Counts {
  std::uint64_t sources, copies, selections;
};

Counts counts_of(const EpLayout& layout) {
  const MoeShape& shape = layout.shape;
  const auto ranks = static_cast<std::uint64_t>(shape.num_ranks);
  const auto tokens = static_cast<std::uint64_t>(shape.max_tokens);
  return {.sources = kBuffers * ranks,
          .copies = kBuffers * ranks * tokens *
                    static_cast<std::uint64_t>(layout.slots_per_token()),
          .selections = kBuffers * tokens * static_cast<std::uint64_t>(shape.num_topk)};
}

void add_words(EpLayout& layout, FieldList& fields) {
  const Counts counts = counts_of(layout);
  layout.routing =
      fields.add("routing", counts.sources * layout.routing_pairs() * sizeof(TaggedPair));
  layout.dispatch_begins = fields.add("dispatch begins", counts.sources * sizeof(std::uint64_t));
  layout.combine_begins = fields.add("combine begins", counts.sources * sizeof(std::uint64_t));
  layout.dispatch_words = fields.add(
      "dispatch signals",
      counts.copies * static_cast<std::uint64_t>(layout.num_parts()) * sizeof(std::uint64_t));
  layout.combine_words = fields.add("combine signals", counts.selections * sizeof(std::uint64_t));
  layout.meetings =
      fields.add("meetings", static_cast<std::uint64_t>(layout.shape.num_ranks) *
                                 sizeof(std::uint64_t));
}

}  // namespace

PlannedLayout plan_layout(const EpAxes& axes) {
  PlannedLayout plan{.layout = sizes_of(axes), .fields = {}};
  EpLayout& layout = plan.layout;
  FieldList& fields = plan.fields;
  add_words(layout, fields);
  const Counts counts = counts_of(layout);
  layout.dispatch_rows = fields.add("dispatch window", counts.copies * layout.window_stride());
  layout.combine_rows =
      fields.add("combine window", counts.selections * layout.combine_row_bytes());
  if (axes.zero_copy) {
    layout.expert_output =
        fields.add("expert output", static_cast<std::uint64_t>(axes.shape.num_local_experts()) *
                                        static_cast<std::uint64_t>(axes.shape.capacity()) *
                                        layout.combine_row_bytes());
  } else if (axes.outbox) {
    layout.outbox = fields.add("combine outbox",
                               kBuffers * layout.most_entries() * layout.combine_row_bytes());
  }
  return plan;
}

}  // namespace llep
