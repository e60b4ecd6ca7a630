// SPDX-License-Identifier: MIT
#include "bench/pair_matrix.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <optional>

#include "bench/report_table.hpp"
#include "common/statistics.hpp"

namespace llep {

namespace {

/// Columns of seven fill the table.
constexpr int kMostColumns = 16;
constexpr std::size_t kNumSlowest = 5;

struct Cell {
  int from = 0;
  int to = 0;
  double value = 0;
};

bool is_flag(const Floor& floor) { return floor.probe == ProbeKind::kFlag; }

/// In six columns.
std::string number(double v) {
  return fmt::format("{:.{}f}", v, v < 0.1 ? 4 : v < 1.0 ? 3 : v < 100.0 ? 2 : v < 1e4 ? 1 : 0);
}

std::vector<Cell> cells_of(const std::vector<Floor>& pairs) {
  std::vector<Cell> cells;
  for (const Floor& pair : pairs) {
    const auto value = is_flag(pair) ? trip_us(pair) : gbps(pair);
    if (value) cells.push_back({*pair.from, *pair.to, value->best});
  }
  return cells;
}

std::string title(const Floor& floor) {
  if (is_flag(floor)) return "flag, us one way";
  return fmt::format("{}, {} bytes, GB/s", to_string(floor.probe), *floor.bytes);
}

std::string grid(const std::vector<Cell>& cells, int num_ranks, bool both_ways) {
  std::string text = fmt::format("{:>6}", "from");
  for (int to = 0; to < num_ranks; ++to) text += fmt::format(" {:>6}", fmt::format("to {}", to));
  for (int from = 0; from < num_ranks; ++from) {
    text += fmt::format("\n{:>6}", from);
    for (int to = 0; to < num_ranks; ++to) {
      const auto found = std::find_if(cells.begin(), cells.end(), [&](const Cell& cell) {
        return (cell.from == from && cell.to == to) ||
               (both_ways && cell.from == to && cell.to == from);
      });
      text += fmt::format(" {:>6}", found == cells.end() ? "-" : number(found->value));
    }
  }
  return text + "\n";
}

std::string spread(std::vector<Cell> cells, bool larger_is_slower) {
  std::stable_sort(cells.begin(), cells.end(), [&](const Cell& a, const Cell& b) {
    return larger_is_slower ? a.value > b.value : a.value < b.value;
  });
  std::vector<double> values;
  for (const Cell& cell : cells) values.push_back(cell.value);
  const Summary summary = summarize(values);
  std::string text = fmt::format("{} pairs: min {}, median {}, max {}; slowest:", cells.size(),
                                 number(summary.min), number(summary.p50), number(summary.max));
  for (std::size_t i = 0; i < std::min(kNumSlowest, cells.size()); ++i) {
    text += fmt::format("{} {} {} {} {}", i == 0 ? "" : ",", cells[i].from,
                        larger_is_slower ? "<->" : "->", cells[i].to, number(cells[i].value));
  }
  return wrapped(text, "  ");
}

}  // namespace

std::string pair_matrix(const std::vector<Floor>& pairs) {
  const std::vector<Cell> cells = cells_of(pairs);
  if (cells.empty()) return "";
  const Floor& first = pairs.front();
  const std::string head =
      fmt::format("{}, the best of {} samples\n", title(first), first.round_us.size());
  return head + (first.num_ranks <= kMostColumns ? grid(cells, first.num_ranks, is_flag(first))
                                                 : spread(cells, is_flag(first)));
}

}  // namespace llep
