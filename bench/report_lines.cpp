// SPDX-License-Identifier: MIT
#include "bench/report_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "bench/metrics.hpp"
#include "bench/report_table.hpp"
#include "common/statistics.hpp"

namespace llep {

namespace {

/// Of the slowest rank.
double median(const RankSamples& us) { return summarize(max_over_ranks(us)).p50; }

}  // namespace

std::string load_line(const CaseResult& result) {
  const Load& load = result.load;
  if (load.rows_per_rank.empty()) return "";
  const auto range = [](const std::vector<std::uint64_t>& of, const char* what) {
    const auto [least, most] = std::minmax_element(of.begin(), of.end());
    return fmt::format("{} to {} rows per {} (most: {} {})", *least, *most, what, what,
                       most - of.begin());
  };
  return wrapped("load: " + range(load.rows_per_rank, "rank") + ", " +
                     range(load.rows_per_expert, "expert"),
                 "  ");
}

std::string slowest_line(const OpResult& op) {
  if (!measured(op)) return "";
  const std::size_t num_iterations = op.us.front().size();
  std::vector<std::pair<std::size_t, std::size_t>> times;  // slowest how often, which rank
  for (const std::size_t count : slowest_counts(op)) times.emplace_back(count, times.size());
  std::stable_sort(times.begin(), times.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text;
  for (const auto& [count, rank] : times) {
    if (count == 0) break;
    const double mean = std::accumulate(op.us[rank].begin(), op.us[rank].end(), 0.0) /
                        static_cast<double>(num_iterations);
    text += fmt::format("{} rank {} in {} (its mean {} us)", text.empty() ? "" : ",", rank, count,
                        number(mean));
  }
  return wrapped(
      fmt::format("{}: slowest of {} iterations:{}", to_string(op.op), num_iterations, text), "  ");
}

std::string clock_line(const OpResult& op) {
  if (!measured(op)) return "";
  std::string text =
      fmt::format("{}: p50 in us: events {}", to_string(op.op), number(median(op.us)));
  if (!op.device_us.empty()) text += ", device clock " + number(median(op.device_us));
  if (!op.wall_us.empty()) text += ", wall " + number(median(op.wall_us));
  if (!op.entry_skew_us.empty()) {
    text += fmt::format("; entry skew {} +- {}", number(summarize(op.entry_skew_us).p50),
                        number(op.clock_error_us));
  }
  return wrapped(text, "  ");
}

std::string overlap_line(const OpResult& op, const RunOptions& options) {
  const auto hidden = measured(op) ? hidden_share(op.overlap) : std::nullopt;
  if (!hidden) return "";
  return wrapped(fmt::format("{}: {} us of compute hide {:.0f} % of the receive half: {} us of {} "
                             "us are left",
                             to_string(op.op), options.overlap_us, 100 * std::max(0.0, *hidden),
                             number(median(op.overlap.exposed_us)),
                             number(median(op.overlap.receive_us))),
                 "  ");
}

}  // namespace llep
