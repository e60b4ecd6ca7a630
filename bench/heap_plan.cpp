// SPDX-License-Identifier: MIT
#include "bench/heap_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace llep {

namespace {

EpAxes axes_of(const Case& one, const RunOptions& options) {
  return {.shape = one.shape,
          .dtype = one.dtype,
          .copies = one.copies,
          .zero_copy = options.zero_copy};
}

std::string in_units(std::uint64_t bytes) {
  constexpr double kKiB = 1024.0;
  const auto size = static_cast<double>(bytes);
  if (size < kKiB) return fmt::format("{} B", bytes);
  if (size < kKiB * kKiB) return fmt::format("{:.1f} KiB", size / kKiB);
  return fmt::format("{:.1f} MiB", size / kKiB / kKiB);
}

}  // namespace

PlannedLayout plan_case(const Case& one, const RunOptions& options, std::uint64_t signal_bytes) {
  return plan_layout(axes_of(one, options), signal_bytes);
}

HeapPlan plan_heap(const std::vector<Case>& cases, const RunOptions& options) {
  HeapPlan plan;
  for (const Case& one : cases) {
    plan.signal_bytes = std::max(plan.signal_bytes, signal_bytes(axes_of(one, options)));
  }
  for (const Case& one : cases) {
    const PlannedLayout layout = plan_case(one, options, plan.signal_bytes);
    plan.bytes = std::max(plan.bytes, layout.fields.total_bytes());
  }
  return plan;
}

std::string describe_heap(const std::vector<Case>& cases, const RunOptions& options,
                          const HeapPlan& plan) {
  std::string each;
  std::string fields;
  const Case* largest = nullptr;
  for (const Case& one : cases) {
    const PlannedLayout layout = plan_case(one, options, plan.signal_bytes);
    const std::uint64_t bytes = layout.fields.total_bytes();
    each += fmt::format("  {:<60} {:>12}\n", label(one), in_units(bytes));
    if (largest != nullptr || bytes != plan.bytes) continue;
    largest = &one;
    for (const HeapField& field : layout.fields.fields()) {
      fields += fmt::format("  {:<60} {:>12}\n", field.name, in_units(field.bytes));
    }
  }
  std::string text = fmt::format("symmetric heap: {} per rank, {} case{}\n", in_units(plan.bytes),
                                 cases.size(), cases.size() == 1 ? "" : "s");
  if (options.dry_run) text += each;
  if (options.dry_run || options.verbose) text += "of " + label(*largest) + ":\n" + fields;
  return text;
}

}  // namespace llep
