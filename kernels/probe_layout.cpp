// SPDX-License-Identifier: MIT
#include "kernels/probe_layout.hpp"

#include <algorithm>

namespace llep {

PlannedProbes plan_probes(const ProbeAxes& axes) {
  PlannedProbes plan;
  ProbeLayout& layout = plan.layout;
  layout.num_ranks = axes.num_ranks;
  layout.num_warps = axes.num_warps;
  layout.chunk_bytes = axes.chunk_bytes;
  layout.window_bytes = kExchangeBytes;
  for (const std::uint64_t bytes : axes.sizes) {
    const auto at_once = static_cast<std::uint64_t>(layout.most_at_once(bytes));
    layout.window_bytes = std::max(layout.window_bytes, at_once * bytes);
  }
  const auto sources = static_cast<std::uint64_t>(axes.num_ranks);
  const std::uint64_t words =
      sources * static_cast<std::uint64_t>(axes.num_warps) * ProbeLayout::kWordStride;
  layout.arrived = plan.fields.add("arrivals", words);
  layout.answered = plan.fields.add("answers", words);
  layout.gathered = plan.fields.add("gathering", 2 * ProbeLayout::kWordStride);
  layout.messages = plan.fields.add("messages", layout.window_bytes);
  layout.windows = plan.fields.add("windows", sources * layout.window_bytes);
  return plan;
}

}  // namespace llep
