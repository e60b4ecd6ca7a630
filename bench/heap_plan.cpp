// SPDX-License-Identifier: MIT
#include "bench/heap_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/transports.hpp"

namespace llep {

namespace {

EpAxes axes_of(const Case& one, const RunOptions& options) {
  return {.shape = one.shape,
          .dtype = one.dtype,
          .copies = one.copies,
          .zero_copy = options.zero_copy,
          .outbox = needs_home(one.transport)};
}

std::string in_units(std::uint64_t bytes) {
  constexpr double kKiB = 1024.0;
  const auto size = static_cast<double>(bytes);
  if (size < kKiB) return fmt::format("{} B", bytes);
  if (size < kKiB * kKiB) return fmt::format("{:.1f} KiB", size / kKiB);
  return fmt::format("{:.1f} MiB", size / kKiB / kKiB);
}

}  // namespace

PlannedLayout plan_case(const Case& one, const RunOptions& options) {
  return plan_layout(axes_of(one, options));
}

std::uint64_t heap_bytes(const std::vector<Case>& cases, const RunOptions& options,
                         const std::optional<PlannedProbes>& floors) {
  std::uint64_t bytes = floors ? floors->fields.total_bytes() : 0;
  for (const Case& one : cases) {
    bytes = std::max(bytes, plan_case(one, options).fields.total_bytes());
  }
  return bytes;
}

std::string describe_heap(const std::vector<Case>& cases, const RunOptions& options) {
  const std::uint64_t most = heap_bytes(cases, options);
  std::string each;
  std::string fields;
  const Case* largest = nullptr;
  for (const Case& one : cases) {
    const PlannedLayout layout = plan_case(one, options);
    const std::uint64_t bytes = layout.fields.total_bytes();
    each += fmt::format("  {:<60} {:>12}\n", label(one), in_units(bytes));
    if (largest != nullptr || bytes != most) continue;
    largest = &one;
    for (const HeapField& field : layout.fields.fields()) {
      fields += fmt::format("  {:<60} {:>12}\n", field.name, in_units(field.bytes));
    }
  }
  std::string text = fmt::format("symmetric heap: {} per rank, {} case{}\n", in_units(most),
                                 cases.size(), cases.size() == 1 ? "" : "s");
  if (options.dry_run) text += each;
  if (options.dry_run || options.verbose) text += "of " + label(*largest) + ":\n" + fields;
  return text;
}

std::string describe_heap_of_floors(const std::vector<Case>& cases, const RunOptions& options,
                                    const std::optional<PlannedProbes>& floors) {
  const std::uint64_t bytes = heap_bytes(cases, options, floors);
  if (bytes == heap_bytes(cases, options)) return "";
  return fmt::format("symmetric heap: {} per rank, to measure floors\n", in_units(bytes));
}

}  // namespace llep
